package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"penstock/internal/store"
)

type attributesResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
	ETag     string   `xml:",omitempty"`
	Checksum *struct {
		ChecksumType string
		checksums
	} `xml:",omitempty"`
	ObjectParts  *objectParts `xml:",omitempty"`
	StorageClass string       `xml:",omitempty"`
	ObjectSize   *int64       `xml:",omitempty"`
}

type objectParts struct {
	TotalPartsCount      int `xml:"PartsCount"`
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Part                 []partElement `xml:",omitempty"`
}

// getObjectAttributes is GetObjectAttributes: of an object what x-amz-object-attributes names.
func (c *call) getObjectAttributes() error {
	wanted := map[string]bool{}
	for _, line := range c.r.Header.Values("X-Amz-Object-Attributes") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			switch name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				wanted[name] = true
			default:
				return invalidArgument("Invalid attribute name specified.")
			}
		}
	}
	if len(wanted) == 0 {
		return invalidRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	o, err := c.find()
	if err != nil {
		return err
	}
	out := attributesResult{}
	if wanted["ETag"] {
		out.ETag = o.ETag // without quotes, unlike everywhere else
	}
	if wanted["Checksum"] && o.Info.Checksum != "" {
		sum, _, _ := strings.Cut(o.Info.Checksum, "-")
		out.Checksum = &struct {
			ChecksumType string
			checksums
		}{o.Info.Type, checksumOf(o.Info.Algorithm, sum)}
	}
	if wanted["ObjectParts"] && o.Upload != "" {
		if out.ObjectParts, err = c.objectParts(o); err != nil {
			return err
		}
	}
	if wanted["StorageClass"] {
		out.StorageClass = storageClass(o)
	}
	if wanted["ObjectSize"] {
		out.ObjectSize = &o.Size
	}
	c.showVersion(o)
	c.w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	c.writeXML(http.StatusOK, out)
	return nil
}

// objectParts shows the number of parts, and the parts themselves if they have checksums.
func (c *call) objectParts(o store.Object) (*objectParts, error) {
	limit, marker := 1000, 0
	for name, to := range map[string]*int{"X-Amz-Max-Parts": &limit, "X-Amz-Part-Number-Marker": &marker} {
		if text := c.r.Header.Get(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return nil, invalidArgument("%s must be a number", strings.ToLower(name))
			}
			*to = int(n)
		}
	}
	limit = min(limit, 1000)
	out := &objectParts{TotalPartsCount: o.Info.Parts, PartNumberMarker: marker, MaxParts: limit}
	if o.Info.Algorithm == "" {
		return out, nil
	}
	var parts []store.Part
	err := c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		parts, err = tx.Parts(c.ctx(), o.Upload, marker, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.IsTruncated = len(parts) > limit
	for _, p := range parts[:min(len(parts), limit)] {
		out.Part = append(out.Part, partElement{PartNumber: p.Number, Size: p.Size, checksums: checksumOf(o.Info.Algorithm, p.Checksum)})
		out.NextPartNumberMarker = p.Number
	}
	return out, nil
}
