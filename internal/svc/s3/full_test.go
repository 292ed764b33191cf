package s3_test

import (
	"strings"
	"testing"

	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

// S-86: while the disk is full no object takes the room that is left, also not one that is copied.
func TestFull(t *testing.T) {
	t.Parallel()
	url := storetest.SQLiteURL(t)
	before := startOn(t, storetest.Open(t, url))
	before.bucket(before.client(admin), "full", "")
	before.raw("PUT", "/full/k", []byte("x"))
	upload := before.raw("POST", "/full/parts?uploads", nil).Body.String()
	_, upload, _ = strings.Cut(upload, "<UploadId>")
	upload, _, _ = strings.Cut(upload, "</UploadId>")
	if err := before.db.Close(); err != nil {
		t.Fatal(err)
	}
	s := startOn(t, storetest.Full(t, url), func(d *room.Deps) { d.Blobs = before.blobs })
	for _, test := range [][]string{
		{"PUT", "/full/new"},
		{"PUT", "/full/new", "X-Amz-Copy-Source", "full/k"},
		{"PUT", "/full/parts?partNumber=1&uploadId=" + upload},
		{"PUT", "/full/parts?partNumber=1&uploadId=" + upload, "X-Amz-Copy-Source", "full/k"},
	} {
		if w := s.raw(test[0], test[1], nil, test[2:]...); w.Code != 503 {
			t.Errorf("%v: %d %s", test, w.Code, w.Body)
		}
	}
	if w := s.raw("GET", "/full/k", nil); w.Body.String() != "x" {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
	if w := s.raw("DELETE", "/full/k", nil); w.Code != 204 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
}
