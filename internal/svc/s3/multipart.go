package s3

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/internal/fault"
	"penstock/internal/store"
)

func (c *call) createUpload() error {
	o, err := c.newObject()
	if err != nil {
		return err
	}
	a, err := findAlgorithm(c.r.Header.Get("X-Amz-Checksum-Algorithm"))
	if err != nil {
		return err
	}
	kind := strings.ToUpper(c.r.Header.Get("X-Amz-Checksum-Type"))
	switch {
	case a == nil && kind != "":
		return invalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case a == nil:
	case kind == "" && a.composite:
		kind = composite
	case kind == "":
		kind = fullObject
	case kind != fullObject && kind != composite:
		return invalidRequest("Value for x-amz-checksum-type header is invalid.")
	case kind == fullObject && a.reflected == 0 || kind == composite && !a.composite:
		return invalidRequest("The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(a.name))
	}
	if a != nil {
		o.Info.Algorithm, o.Info.Type = a.name, kind
		c.w.Header().Set("x-amz-checksum-algorithm", a.name)
		c.w.Header().Set("x-amz-checksum-type", kind)
	}
	u := store.Upload{ID: rand.Text(), Bucket: c.name, Key: c.key, Info: o.Info, ACL: o.ACL, Tags: o.Tags}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		if err := tx.LockObject(c.ctx(), c.name, c.key); err != nil {
			return err
		}
		if _, err := tx.Bucket(c.ctx(), c.name); errors.Is(err, store.ErrNotFound) {
			return noSuchBucket()
		} else if err != nil {
			return err
		}
		return tx.CreateUpload(c.ctx(), u)
	})
	if err != nil {
		return err
	}
	c.echoEncryption(u.Info)
	c.writeXML(http.StatusOK, struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{Bucket: c.name, Key: c.key, UploadID: u.ID})
	return nil
}

// upload finds the upload the request names.
func (c *call) upload(tx *store.Tx) (store.Upload, error) {
	id := c.query.Get("uploadId")
	if !printable(id) || len(id) > 1024 {
		return store.Upload{}, noSuchUpload()
	}
	u, err := tx.Upload(c.ctx(), c.name, c.key, id)
	if errors.Is(err, store.ErrNotFound) {
		err = noSuchUpload()
	}
	return u, err
}

// partTarget finds where a part goes, and the checksum the upload is made with.
func (c *call) partTarget() (number int, u store.Upload, a *algorithm, err error) {
	if number, err = c.partNumber(); err != nil {
		return 0, u, nil, err
	}
	if number == 0 {
		return 0, u, nil, invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
	}
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		u, err = c.upload(tx)
		return err
	})
	if err == nil {
		a, err = findAlgorithm(u.Info.Algorithm)
	}
	return number, u, a, err
}

func (c *call) uploadPart() error {
	number, u, a, err := c.partTarget()
	if err != nil {
		return err
	}
	key, in, err := c.receive(a)
	if err != nil {
		return err
	}
	p := store.Part{Number: number, Blob: key, Size: in.size, ETag: in.etag()}
	name, sum := in.checksum()
	if a != nil {
		p.Checksum = sum
	}
	if _, err := c.keepPart(u, p); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", quote(p.ETag))
	if name != "" {
		h.Set("x-amz-checksum-"+strings.ToLower(name), sum)
	}
	c.echoEncryption(u.Info)
	return c.done(http.StatusOK)
}

// keepPart commits a part, in place of an earlier one with its number.
func (c *call) keepPart(u store.Upload, p store.Part) (modified time.Time, err error) {
	var freed []string
	refused := true
	err = c.db.Update(c.ctx(), func(tx *store.Tx) (err error) {
		defer func() { refused = err != nil }()
		if err := tx.LockObject(c.ctx(), c.name, c.key); err != nil {
			return err
		}
		// The upload may have been completed or aborted during the transfer.
		if _, err := c.upload(tx); err != nil {
			return err
		}
		modified = tx.Now()
		freed, err = tx.PutPart(c.ctx(), u.ID, p)
		return err
	})
	if err != nil {
		if refused {
			c.free([]string{p.Blob})
		}
		return modified, err
	}
	c.free(freed)
	return modified, nil
}

func (c *call) abortUpload() error {
	var freed []string
	err := c.db.Update(c.ctx(), func(tx *store.Tx) error {
		if err := tx.LockObject(c.ctx(), c.name, c.key); err != nil {
			return err
		}
		u, err := c.upload(tx)
		if err != nil {
			return err
		}
		freed, err = tx.DeleteUpload(c.ctx(), u.ID)
		return err
	})
	if err != nil {
		return err
	}
	c.free(freed)
	return c.done(http.StatusNoContent)
}

type completePart struct {
	PartNumber int
	ETag       string
	checksums
}

type completeRequest struct{ Part []completePart }

func (c *call) completeUpload() error {
	var in completeRequest
	found, err := c.readXML(maxCompleteXML, "CompleteMultipartUpload", &in)
	if err != nil {
		return err
	}
	if !found || len(in.Part) == 0 || len(in.Part) > maxParts {
		return malformedXML()
	}
	for i, p := range in.Part {
		switch {
		case p.PartNumber < 1 || p.PartNumber > maxParts:
			return invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
		case i > 0 && p.PartNumber <= in.Part[i-1].PartNumber:
			return fault.New("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
	}
	o := store.Object{Bucket: c.name, Key: c.key, Upload: c.query.Get("uploadId")}
	done := false
	err = c.keep(&o, func(tx *store.Tx) (freed []string, err error) {
		u, err := c.upload(tx)
		if err != nil {
			return nil, err
		}
		kept, err := tx.Parts(c.ctx(), u.ID, 0, maxParts)
		if err != nil {
			return nil, err
		}
		o.Info, o.ACL, o.Tags = u.Info, u.ACL, u.Tags
		unused, err := c.assemble(&o, in.Part, kept)
		if err != nil {
			return nil, err
		}
		for _, p := range unused {
			if err := tx.DeletePart(c.ctx(), u.ID, p.Number); err != nil {
				return nil, err
			}
			freed = append(freed, p.Blob)
		}
		return freed, tx.EndUpload(c.ctx(), u.ID)
	})
	if fault.Code(err) == "NoSuchUpload" {
		// The answer to a completion may have been lost: the same one again succeeds.
		if done = c.completedBefore(&o, in.Part); done {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	c.showVersion(o)
	c.echoEncryption(o.Info)
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	c.writeXML(http.StatusOK, struct {
		XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location, Bucket, Key, ETag string
		ChecksumType                string `xml:",omitempty"`
		checksums
	}{Location: scheme + "://" + c.r.Host + c.r.URL.EscapedPath(), Bucket: c.name, Key: c.key, ETag: quote(o.ETag),
		ChecksumType: o.Info.Type, checksums: checksumOf(o.Info.Algorithm, o.Info.Checksum)})
	return nil
}

// completedBefore finds the object that the upload has become from the same parts.
func (c *call) completedBefore(o *store.Object, parts []completePart) bool {
	var before store.Object
	var kept []store.Part
	err := c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		if before, err = tx.ObjectOfUpload(c.ctx(), o.Upload); err == nil {
			kept, err = tx.Parts(c.ctx(), o.Upload, 0, maxParts)
		}
		return err
	})
	if err != nil || before.Bucket != c.name || before.Key != c.key || len(kept) != len(parts) {
		return false
	}
	for i, p := range parts {
		if kept[i].Number != p.PartNumber || kept[i].ETag != strings.Trim(p.ETag, `"`) {
			return false
		}
	}
	*o = before
	return true
}

// assemble checks the list of parts against those kept and fills in what follows from
// them; it gives the parts that are not in the list.
func (c *call) assemble(o *store.Object, list []completePart, kept []store.Part) (unused []store.Part, err error) {
	invalid := fault.New("InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	a, err := findAlgorithm(o.Info.Algorithm)
	if err != nil {
		return nil, err
	}
	tags := md5.New()
	var sums []byte // of the parts, one after the other, or the sum so far of a full object
	i := 0
	for _, p := range kept {
		if i == len(list) || list[i].PartNumber > p.Number {
			unused = append(unused, p)
			continue
		}
		want := list[i]
		if want.PartNumber != p.Number || strings.Trim(want.ETag, `"`) != p.ETag {
			return nil, invalid
		}
		if i++; i < len(list) && p.Size < minPart {
			return nil, fault.New("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		raw, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, fmt.Errorf("s3: the ETag of a part: %w", err)
		}
		tags.Write(raw)
		if a != nil {
			if given := want.checksums; given != (checksums{}) && given != checksumOf(a.name, p.Checksum) {
				return nil, invalid
			}
			sum, err := base64.StdEncoding.DecodeString(p.Checksum)
			if err != nil {
				return nil, fmt.Errorf("s3: the checksum of a part: %w", err)
			}
			if o.Info.Type == fullObject && len(sums) > 0 {
				sums = a.combine(sums, sum, p.Size)
			} else {
				sums = append(sums, sum...)
			}
		}
		o.Size += p.Size
	}
	switch {
	case i < len(list):
		return nil, invalid
	case o.Size > maxObject:
		return nil, fault.New("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
	}
	o.Info.Parts = len(list)
	o.ETag = hex.EncodeToString(tags.Sum(nil)) + "-" + strconv.Itoa(len(list))
	if a != nil {
		if o.Info.Type == composite {
			h := a.make()
			h.Write(sums)
			o.Info.Checksum = base64Of(h.Sum(nil)) + "-" + strconv.Itoa(len(list))
		} else {
			o.Info.Checksum = base64Of(sums)
		}
	}
	return unused, c.checkWhole(o, a)
}

// checkWhole compares the finished object with what the request says of it.
func (c *call) checkWhole(o *store.Object, a *algorithm) error {
	if text := c.r.Header.Get("X-Amz-Mp-Object-Size"); text != "" && text != strconv.FormatInt(o.Size, 10) {
		return invalidRequest("The provided 'x-amz-mp-object-size' header does not match what was computed.")
	}
	for _, other := range algorithms {
		if other != a && c.r.Header.Get(other.header()) != "" {
			return invalidRequest("The upload was not created with the checksum algorithm of the header %s.", other.header())
		}
	}
	if a == nil {
		return nil
	}
	if text := c.r.Header.Get("X-Amz-Checksum-Type"); text != "" && !strings.EqualFold(text, o.Info.Type) {
		return invalidRequest("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", o.Info.Type)
	}
	given, _, _ := strings.Cut(c.r.Header.Get(a.header()), "-")
	computed, _, _ := strings.Cut(o.Info.Checksum, "-")
	if given != "" && given != computed {
		return fault.New("BadDigest", "The %s you specified did not match the calculated checksum.", strings.ToLower(a.name))
	}
	return nil
}

type partElement struct {
	PartNumber   int
	LastModified string `xml:",omitempty"`
	ETag         string `xml:",omitempty"`
	Size         int64
	checksums
}

func (c *call) listParts() error {
	max, err := c.number("max-parts", 1000, 0, 1000)
	if err != nil {
		return err
	}
	marker, err := c.number("part-number-marker", 0, 0, maxParts)
	if err != nil {
		return err
	}
	var u store.Upload
	var parts []store.Part
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		if u, err = c.upload(tx); err == nil {
			parts, err = tx.Parts(c.ctx(), u.ID, marker, max+1)
		}
		return err
	})
	if err != nil {
		return err
	}
	out := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		ChecksumAlgorithm    string        `xml:",omitempty"`
		ChecksumType         string        `xml:",omitempty"`
		Part                 []partElement `xml:",omitempty"`
		Initiator, Owner     owner
		StorageClass         string
	}{Bucket: c.name, Key: c.key, UploadID: u.ID, PartNumberMarker: marker, MaxParts: max, IsTruncated: len(parts) > max,
		ChecksumAlgorithm: u.Info.Algorithm, ChecksumType: u.Info.Type, Initiator: c.owner(), Owner: c.owner(),
		StorageClass: storageClass(store.Object{Info: u.Info})}
	for _, p := range parts[:min(len(parts), max)] {
		out.Part = append(out.Part, partElement{p.Number, stamp(p.Modified), quote(p.ETag), p.Size, checksumOf(u.Info.Algorithm, p.Checksum)})
		out.NextPartNumberMarker = p.Number
	}
	c.writeXML(http.StatusOK, out)
	return nil
}
