package api

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"penstock/internal/fault"
)

// W-36: CBOR becomes the JSON that means the same. The vectors are those of RFC 8949, appendix A.
func TestJSONOfCBOR(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"00": "0", "17": "23", "1818": "24", "1903e8": "1000", "1a000f4240": "1000000", "1bffffffffffffffff": "18446744073709551615",
		"20": "-1", "3903e7": "-1000", "f90000": "0", "f93c00": "1", "f93e00": "1.5", "f97bff": "65504", "f90001": "5.960464477539063e-08", "f9c400": "-4",
		"fa47c35000": "100000", "fb3ff199999999999a": "1.1", "fbc010666666666666": "-4.1",
		"f4": "false", "f5": "true", "f6": "null", "f7": "null", "c11a514b67b0": "1363896240", "c1fb41d452d9ec200000": "1363896240.5",
		"4401020304": `"AQIDBA=="`, "5f42010243030405ff": `"AQIDBAU="`, "60": `""`, "6449455446": `"IETF"`, "62225c": `"\"\\"`, "7f657374726561646d696e67ff": `"streaming"`,
		"80": "[]", "8301820203820405": "[1,[2,3],[4,5]]", "9f018202039f0405ffff": "[1,[2,3],[4,5]]", "a26161016162820203": `{"a":1,"b":[2,3]}`, "bf6161019f": "", "bf61610161629f0203ffff": `{"a":1,"b":[2,3]}`,
		// What is refused.
		"": "", "18": "", "1c": "", "1f": "", "3bffffffffffffffff": "", "5bffffffffffffffff": "", "5f6161ff": "", "5f5f4101ffff": "", "61ff": "", "6261": "", "81": "", "9f": "", "a1": "", "a10101": "",
		"9bffffffffffffffff": "", "c249010000000000000000": "", "c16161": "", "c1c101": "", "c1": "", "e0": "", "f0": "", "ff": "", "f97c00": "", "f97e00": "", "fb7ff0000000000000": "", "0000": "", "fc": "",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jsonOfCBOR(b)
		if string(got) != want || (err == nil) != (want != "") || err != nil && fault.Code(err) != "SerializationException" {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
	for _, open := range []byte{0x81, 0x9f} {
		if _, err := jsonOfCBOR(bytes.Repeat([]byte{open}, 1<<20)); fault.Code(err) != "SerializationException" {
			t.Errorf("a million of %x: %v", open, err)
		}
	}
}

// sameCBOR says whether a JSON value means what the SDK reads in CBOR.
func sameCBOR(v cbor.Value, j any) bool {
	float := func(f float64) bool {
		n, ok := j.(json.Number)
		g, err := n.Float64()
		return ok && err == nil && f == g
	}
	switch v := v.(type) {
	case cbor.Uint:
		return j == json.Number(strconv.FormatUint(uint64(v), 10))
	case cbor.NegInt:
		return j == json.Number("-"+strconv.FormatUint(uint64(v), 10))
	case cbor.Float32:
		return float(float64(v))
	case cbor.Float64:
		return float(float64(v))
	case cbor.Slice:
		return j == base64.StdEncoding.EncodeToString(v)
	case cbor.String:
		return j == string(v)
	case cbor.Bool:
		return j == bool(v)
	case *cbor.Nil, *cbor.Undefined:
		return j == nil
	case *cbor.Tag:
		return v.ID == epochTag && sameCBOR(v.Value, j)
	case cbor.List:
		list, ok := j.([]any)
		return ok && slices.EqualFunc(v, list, sameCBOR)
	case cbor.Map:
		m, ok := j.(map[string]any)
		return ok && maps.EqualFunc(v, m, sameCBOR)
	}
	return false
}

// Whatever comes in, what goes to the decoder is JSON, not much more than came in, and what the
// SDK reads in it.
func FuzzJSONOfCBOR(f *testing.F) {
	for _, seed := range []string{"a26161016162820203", "bf61610161629f0203ffff", "c1fb41d452d9ec200000", "7f657374726561646d696e67ff", "f97bff", "84f90001fa7f7fffff3903e7f6", "5f4101420203ff", "98c8" + strings.Repeat("f98014", 200),
		"a261611bffffffffffffffff616120", "84f98000fa80000000fb8000000000000000c1f90000", "a261ff01616102", "7f61c361a9ff"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := jsonOfCBOR(in)
		if err != nil {
			if fault.Code(err) != "SerializationException" {
				t.Error(err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(out))
		d.UseNumber()
		var j any
		// A half in three bytes, such as -0.0000011920928955078125, has at most 25 characters.
		if err := d.Decode(&j); err != nil || d.More() || len(out) > 9*len(in) {
			t.Fatalf("%x became %s", in, out)
		}
		if v, err := cbor.Decode(in); err != nil || !sameCBOR(v, j) {
			t.Errorf("%x became %s, and for the SDK it is %v, %v", in, out, v, err)
		}
	})
}

// Inner and Sample have a member of every kind.
type Inner struct{ S string }

type Sample struct {
	S string
	B *bool
	I *int32
	L *int64
	D *float64
	T *time.Time
	X []byte
	E []Inner
	M map[string]string
}

func sampleTable() *Table {
	return NewTable([]Shape{
		{Kind: String}, {Kind: Boolean}, {Kind: Integer}, {Kind: Long}, {Kind: Double}, {Kind: Timestamp}, {Kind: Blob},
		{Kind: Structure, Name: "Inner", Members: []Member{{Name: "S", Shape: 0}}},
		{Kind: List, Elem: 7}, {Kind: Map, Key: 0, Elem: 0},
		{Kind: Structure, Name: "Sample", Members: []Member{
			{Name: "S", Shape: 0}, {Name: "B", Shape: 1}, {Name: "I", Shape: 2}, {Name: "L", Shape: 3}, {Name: "D", Shape: 4}, {Name: "T", Shape: 5},
			{Name: "X", Shape: 6}, {Name: "E", Shape: 8}, {Name: "M", Shape: 9},
		}},
	})
}

// W-36, to the byte: an answer in CBOR, and the same read again.
func TestCBORAnswer(t *testing.T) {
	t.Parallel()
	table := sampleTable()
	at := time.UnixMilli(1363896240500).UTC()
	in := Sample{S: "é", B: new(true), I: new(int32(-1000)), L: new(int64(1) << 40), D: new(1.1), T: &at, X: []byte{1, 2, 3, 4}, E: []Inner{{"a"}, {}}, M: map[string]string{"b": "2", "a": "1"}}
	p := table.planFor(reflect.TypeOf(&in))
	out := appendCBORStructure(nil, p, reflect.ValueOf(in))
	want := "a9" + "6153" + "62c3a9" + "6142" + "f5" + "6149" + "3903e7" + "614c" + "1b0000010000000000" + "6144" + "fb3ff199999999999a" + "6154" + "c1fb41d452d9ec200000" +
		"6158" + "4401020304" + "6145" + "82a161536161a0" + "614d" + "a2616161316162" + "6132"
	if got := hex.EncodeToString(out); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	text, err := jsonOfCBOR(out)
	if err != nil {
		t.Fatal(err)
	}
	var again Sample
	if err := table.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, in) {
		t.Errorf("%s: %+v %v", text, again, err)
	}
	whole := at.Truncate(time.Second)
	if got := hex.EncodeToString(appendCBORStructure(nil, p, reflect.ValueOf(Sample{T: &whole, B: new(false)}))); got != "a26142f46154c11a514b67b0" {
		t.Error(got)
	}
}
