package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/internal/store"
)

// elementsOf gives the elements of a document, with their depth, in their order.
func elementsOf(text []byte) (list []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			return list, nil
		}
		switch t := token.(type) {
		case nil:
			return list, err
		case xml.StartElement:
			list = append(list, fmt.Sprint(depth, t.Name.Local))
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// storable says whether every database and every answer can hold the tags.
func storable(tags []store.Tag) bool {
	seen := map[string]bool{}
	for _, tag := range tags {
		if seen[tag.Key] || tag.Key == "" || !utf8.ValidString(tag.Key) || !utf8.ValidString(tag.Value) || strings.Contains(tag.Key+tag.Value, "\x00") {
			return false
		}
		seen[tag.Key] = true
	}
	return len(tags) <= maxObjectTags
}

// FuzzDocument: a document that is taken is one element of the name that is asked for, is the same
// within an answer, and it and what is read of it can be stored. N-3
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`<?xml version="1.0" encoding="UTF-8"?><Tagging xmlns="` + namespace + `"><TagSet><Tag><Key>a</Key><Value>&#233;&lt;</Value></Tag></TagSet></Tagging>`,
		` <Tagging a="1" b:a="2"><!-- c --><TagSet><Tag><Key><![CDATA[<]]></Key></Tag></TagSet></Tagging>`,
		`<Tagging/><?xml version="1.0"?>`, "<!DOCTYPE a><Tagging/>", "<Tagging>&#0;&#1;</Tagging>", "\ufeff<Tagging/>", `<Tagging a="1" a="2"/>`, "a=b&c=%00", "a=b&%ff=+",
		"<!-- \x00\x01\ufffe --><Tagging/>", "<!-- -->\u00a0<Tagging/>&#32;", "<?xml version='1.0'?>\u0085<Tagging/>", "<![CDATA[ ]]><Tagging/>",
		`<x:Tagging xmlns:x="u" x:a='' a=""><x:TagSet/><TagSet><Tag><Key>&#x10ffff;</Key><Value/><Key>b</Key></Tag></TagSet></x:Tagging >`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if tags, err := parseTagHeader(string(text)); err == nil && !storable(tags) {
			t.Fatalf("%q is the tags %q", text, tags)
		}
		if checkXML(text, "Tagging") != nil {
			return
		}
		if bytes.ContainsRune(text, 0) {
			t.Fatalf("not every database can hold %q", text)
		}
		list, err := elementsOf(text)
		if err != nil || len(list) == 0 || list[0] != "0Tagging" {
			t.Fatalf("%q has the elements %q: %v", text, list, err)
		}
		body := bytes.TrimSpace(text)
		if bytes.HasPrefix(body, []byte("<?xml")) {
			_, body, _ = bytes.Cut(body, []byte("?>"))
		}
		if checkXML([]byte(xml.Header+string(body)), "Tagging") != nil {
			t.Fatalf("%q is no answer", text)
		}
		var read struct {
			TagSet struct{ Tag []tagElement }
		}
		if xml.Unmarshal(text, &read) != nil {
			return
		}
		if tags, err := readTags(read.TagSet.Tag, maxObjectTags); err == nil {
			if !storable(tags) {
				t.Fatalf("%q is the tags %q", text, tags)
			}
			if _, err := xml.Marshal(taggingOf(tags)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
