-- +goose Up
CREATE TABLE s3_buckets (
    name       TEXT COLLATE "C" PRIMARY KEY,
    account    TEXT COLLATE "C" NOT NULL,
    region     TEXT COLLATE "C" NOT NULL,
    versioning TEXT COLLATE "C" NOT NULL,
    created    BIGINT NOT NULL
);
CREATE INDEX s3_buckets_account ON s3_buckets (account, name);

CREATE TABLE s3_bucket_documents (
    bucket TEXT COLLATE "C" NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL,
    body   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, kind)
);

-- One row is one version of an object, or a delete marker. ord falls as versions are
-- added, so the first row of a key is its latest version.
CREATE TABLE s3_objects (
    bucket        TEXT COLLATE "C" NOT NULL,
    key           BYTEA NOT NULL,
    ord           BIGINT NOT NULL,
    version       TEXT COLLATE "C" NOT NULL,
    is_latest     BIGINT NOT NULL,
    delete_marker BIGINT NOT NULL,
    size          BIGINT NOT NULL,
    etag          TEXT COLLATE "C" NOT NULL,
    modified      BIGINT NOT NULL,
    blob          TEXT COLLATE "C" NOT NULL,
    upload        TEXT COLLATE "C" NOT NULL,
    info          TEXT COLLATE "C" NOT NULL,
    acl           TEXT COLLATE "C" NOT NULL,
    tags          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, key, ord)
);
CREATE UNIQUE INDEX s3_objects_version ON s3_objects (bucket, key, version);
CREATE INDEX s3_objects_current ON s3_objects (bucket, key) WHERE is_latest = 1 AND delete_marker = 0;
CREATE INDEX s3_objects_blob ON s3_objects (blob) WHERE blob <> '';
CREATE INDEX s3_objects_upload ON s3_objects (upload) WHERE upload <> '';

CREATE TABLE s3_uploads (
    id        TEXT COLLATE "C" PRIMARY KEY,
    bucket    TEXT COLLATE "C" NOT NULL,
    key       BYTEA NOT NULL,
    initiated BIGINT NOT NULL,
    info      TEXT COLLATE "C" NOT NULL,
    acl       TEXT COLLATE "C" NOT NULL,
    tags      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX s3_uploads_key ON s3_uploads (bucket, key, id);

-- The parts of uploads under way, and of the objects that uploads have become.
CREATE TABLE s3_parts (
    upload    TEXT COLLATE "C" NOT NULL,
    part      BIGINT NOT NULL,
    blob      TEXT COLLATE "C" NOT NULL,
    size      BIGINT NOT NULL,
    etag      TEXT COLLATE "C" NOT NULL,
    checksum  TEXT COLLATE "C" NOT NULL,
    modified  BIGINT NOT NULL,
    PRIMARY KEY (upload, part)
);
CREATE INDEX s3_parts_blob ON s3_parts (blob);

-- +goose Down
DROP TABLE s3_parts;
DROP TABLE s3_uploads;
DROP TABLE s3_objects;
DROP TABLE s3_bucket_documents;
DROP TABLE s3_buckets;
