package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strings"

	"penstock/internal/fault"
	"penstock/internal/store"
)

const maxKeys = 1000

type prefixElement struct{ Prefix string }

type contents struct {
	Key               string
	LastModified      string
	ETag              string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              int64
	Owner             *owner `xml:",omitempty"`
	StorageClass      string
}

func storageClass(o store.Object) string {
	if class := o.Info.Headers["x-amz-storage-class"]; class != "" {
		return class
	}
	return "STANDARD"
}

type listResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string  `xml:",omitempty"`
	Marker                *string `xml:",omitempty"`
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []contents      `xml:",omitempty"`
	CommonPrefixes        []prefixElement `xml:",omitempty"`
}

// listing reads the parameters all listings share.
func (c *call) listing(maxName string) (l store.Listing, encoding string, encode func(string) string, err error) {
	l = store.Listing{Bucket: c.name, Prefix: c.query.Get("prefix"), Delimiter: c.query.Get("delimiter")}
	if l.Max, err = c.number(maxName, maxKeys, 0, maxKeys); err != nil {
		return l, "", nil, err
	}
	encoding, encode, err = c.encoder()
	return l, encoding, encode, err
}

// after is where a page begins that follows marker, which may be a common prefix shown
// by the page before: then all keys below it have been shown.
func after(l store.Listing, marker string) store.Position {
	if rest, ok := strings.CutPrefix(marker, l.Prefix); ok && l.Delimiter != "" {
		if head, _, cut := strings.Cut(rest, l.Delimiter); cut && head+l.Delimiter == rest {
			if pos, ok := store.AfterPrefix(marker); ok {
				return pos
			}
		}
	}
	return store.AfterKey(marker)
}

func (c *call) page(l store.Listing) (p store.Page[store.Object], err error) {
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		p, err = tx.ListObjects(c.ctx(), l)
		return err
	})
	return p, err
}

func (c *call) fill(out *listResult, p store.Page[store.Object], encode func(string) string, who *owner) {
	for _, o := range p.Rows {
		out.Contents = append(out.Contents, contents{
			Key: encode(o.Key), LastModified: stamp(o.Modified), ETag: quote(o.ETag), Size: o.Size, StorageClass: storageClass(o),
			ChecksumAlgorithm: o.Info.Algorithm, ChecksumType: o.Info.Type, Owner: who,
		})
	}
	for _, prefix := range p.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixElement{encode(prefix)})
	}
	out.IsTruncated = p.More
}

// listObjects is ListObjects, the first version.
func (c *call) listObjects() error {
	l, encoding, encode, err := c.listing("max-keys")
	if err != nil {
		return err
	}
	marker := c.query.Get("marker")
	if marker != "" {
		l.From = after(l, marker)
	}
	p, err := c.page(l)
	if err != nil {
		return err
	}
	out := listResult{Name: c.name, Prefix: encode(l.Prefix), Delimiter: encode(l.Delimiter), MaxKeys: l.Max, EncodingType: encoding, Marker: new(encode(marker))}
	c.fill(&out, p, encode, new(c.owner()))
	if p.More && l.Delimiter != "" {
		out.NextMarker = encode(last(p))
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

// last is the greatest entry of a page, key or common prefix.
func last(p store.Page[store.Object]) (s string) {
	if n := len(p.Rows); n > 0 {
		s = p.Rows[n-1].Key
	}
	if n := len(p.Prefixes); n > 0 {
		s = max(s, p.Prefixes[n-1])
	}
	return s
}

// listObjectsV2 is ListObjectsV2. The token is the key to go on with, so a page needs
// nothing that the one before has left.
func (c *call) listObjectsV2() error {
	l, encoding, encode, err := c.listing("max-keys")
	if err != nil {
		return err
	}
	start, token := c.query.Get("start-after"), c.query.Get("continuation-token")
	if c.query.Has("continuation-token") {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(b) == 0 || len(b) > 2048 {
			return invalidArgument("The continuation token provided is incorrect")
		}
		l.From = store.AtKey(string(b))
	} else if start != "" {
		l.From = store.AfterKey(start)
	}
	p, err := c.page(l)
	if err != nil {
		return err
	}
	var who *owner
	if c.query.Get("fetch-owner") == "true" {
		who = new(c.owner())
	}
	out := listResult{
		Name: c.name, Prefix: encode(l.Prefix), Delimiter: encode(l.Delimiter), MaxKeys: l.Max, EncodingType: encoding,
		StartAfter: encode(start), ContinuationToken: token, KeyCount: new(len(p.Rows) + len(p.Prefixes)),
	}
	c.fill(&out, p, encode, who)
	if p.More {
		out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(p.Next.Key))
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

type versionElement struct {
	name              string
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      string
	ETag              string `xml:",omitempty"`
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              *int64 `xml:",omitempty"`
	Owner             owner
	StorageClass      string `xml:",omitempty"`
}

// MarshalXML names the element. A field XMLName would take it out of the namespace.
func (v versionElement) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type members versionElement
	start.Name.Local = v.name
	return e.EncodeElement(members(v), start)
}

// listVersions is ListObjectVersions.
func (c *call) listVersions() error {
	l, encoding, encode, err := c.listing("max-keys")
	if err != nil {
		return err
	}
	key, version := c.query.Get("key-marker"), c.query.Get("version-id-marker")
	if key == "" && version != "" {
		return invalidArgument("A version-id marker cannot be specified without a key marker.")
	}
	if !printable(version) || len(version) > 1024 {
		return invalidArgument("Invalid version id specified")
	}
	var p store.Page[store.Object]
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		switch {
		case version != "":
			o, err := tx.Object(c.ctx(), c.name, key, version)
			switch {
			case err == nil:
				l.From = store.AfterVersion(o)
			case err == store.ErrNotFound:
				// The caller has deleted it after the page that showed it: what is left of
				// the key comes first.
				l.From = store.AtKey(key)
			default:
				return err
			}
		case key != "":
			l.From = after(l, key)
		}
		p, err = tx.ListVersions(c.ctx(), l)
		return err
	})
	if err != nil {
		return err
	}
	out := struct {
		XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
		Name                string
		Prefix              string
		Delimiter           string `xml:",omitempty"`
		KeyMarker           string
		VersionIDMarker     string `xml:"VersionIdMarker"`
		NextKeyMarker       string `xml:",omitempty"`
		NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
		MaxKeys             int
		EncodingType        string `xml:",omitempty"`
		IsTruncated         bool
		Versions            []versionElement
		CommonPrefixes      []prefixElement `xml:",omitempty"`
	}{
		Name: c.name, Prefix: encode(l.Prefix), Delimiter: encode(l.Delimiter), KeyMarker: encode(key), VersionIDMarker: version,
		MaxKeys: l.Max, EncodingType: encoding, IsTruncated: p.More,
	}
	for _, o := range p.Rows {
		v := versionElement{name: "DeleteMarker", Key: encode(o.Key), VersionID: o.Version, IsLatest: o.Latest, LastModified: stamp(o.Modified), Owner: c.owner()}
		if !o.DeleteMarker {
			v.name = "Version"
			v.ETag, v.Size, v.StorageClass = quote(o.ETag), new(o.Size), storageClass(o)
			v.ChecksumAlgorithm, v.ChecksumType = o.Info.Algorithm, o.Info.Type
		}
		out.Versions = append(out.Versions, v)
	}
	for _, prefix := range p.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixElement{encode(prefix)})
	}
	if p.More {
		out.NextKeyMarker = encode(last(p))
		if n := len(p.Rows); n > 0 && p.Rows[n-1].Key == last(p) {
			out.NextVersionIDMarker = p.Rows[n-1].Version
		}
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

// listUploads is ListMultipartUploads.
func (c *call) listUploads() error {
	l, encoding, encode, err := c.listing("max-uploads")
	if err != nil {
		return err
	}
	key, id := c.query.Get("key-marker"), c.query.Get("upload-id-marker")
	switch {
	case key != "" && id != "":
		if !printable(id) || len(id) > 1024 {
			return fault.New("InvalidArgument", "Invalid uploadId marker")
		}
		l.From = store.AfterUpload(key, id)
	case key != "":
		l.From = after(l, key)
	}
	var p store.Page[store.Upload]
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		p, err = tx.ListUploads(c.ctx(), l)
		return err
	})
	if err != nil {
		return err
	}
	type uploadElement struct {
		Key               string
		UploadID          string `xml:"UploadId"`
		Initiator, Owner  owner
		StorageClass      string
		Initiated         string
		ChecksumAlgorithm string `xml:",omitempty"`
		ChecksumType      string `xml:",omitempty"`
	}
	out := struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		Bucket             string
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string `xml:",omitempty"`
		NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
		Prefix             string
		Delimiter          string `xml:",omitempty"`
		MaxUploads         int
		EncodingType       string `xml:",omitempty"`
		IsTruncated        bool
		Upload             []uploadElement `xml:",omitempty"`
		CommonPrefixes     []prefixElement `xml:",omitempty"`
	}{
		Bucket: c.name, KeyMarker: encode(key), UploadIDMarker: id, Prefix: encode(l.Prefix), Delimiter: encode(l.Delimiter),
		MaxUploads: l.Max, EncodingType: encoding, IsTruncated: p.More,
	}
	for _, u := range p.Rows {
		out.Upload = append(out.Upload, uploadElement{encode(u.Key), u.ID, c.owner(), c.owner(),
			storageClass(store.Object{Info: u.Info}), stamp(u.Initiated), u.Info.Algorithm, u.Info.Type})
		out.NextKeyMarker, out.NextUploadIDMarker = encode(u.Key), u.ID
	}
	for _, prefix := range p.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixElement{encode(prefix)})
	}
	if n := len(p.Prefixes); n > 0 && (len(p.Rows) == 0 || p.Prefixes[n-1] > p.Rows[len(p.Rows)-1].Key) {
		out.NextKeyMarker, out.NextUploadIDMarker = encode(p.Prefixes[n-1]), ""
	}
	if !p.More {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	c.writeXML(http.StatusOK, out)
	return nil
}
