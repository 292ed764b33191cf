package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"penstock/internal/egress"
)

// guard decides where may be fetched from.
type guard struct {
	names  []string
	ranges []netip.Prefix
	files  string
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

func newGuard(hosts []string, files string) (guard, error) {
	g := guard{lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			g.ranges = append(g.ranges, netip.PrefixFrom(a, a.BitLen()))
		} else if p, err := netip.ParsePrefix(h); err == nil {
			g.ranges = append(g.ranges, p)
		} else if h == "" || strings.ContainsAny(h, "/:@ ") {
			return g, fmt.Errorf("%q is neither a host name nor an address nor a CIDR block", h)
		} else {
			g.names = append(g.names, strings.ToLower(h))
		}
	}
	if files != "" {
		real, err := filepath.EvalSymlinks(files)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil {
			return g, fmt.Errorf("the folder of file URLs: %w", err)
		}
		g.files = real
	}
	return g, nil
}

// place is a URL that may be fetched.
type place struct {
	url, protocol string
	// pin keeps the address that was judged: the form of git's http.curloptResolve, empty
	// if there is nothing to resolve.
	pin string
}

// resolveTime bounds the look-up of a host name.
const resolveTime = 10 * time.Second

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Form says what of a URL is refused whatever the operator allows and names lead to.
func Form(text string) error {
	_, err := form(text)
	return err
}

func form(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > 2000 || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, refused("it is not a URL")
	}
	switch {
	case u.User != nil:
		return nil, refused("the URL has a user or password in it; give them apart")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, refused("the URL has a query")
	case u.Scheme == "file" && (u.Host != "" || !filepath.IsAbs(u.Path)):
		return nil, refused("the URL is not like file:///folder/repository")
	case u.Scheme == "file":
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, refused("the scheme '%s' is none of https, http and file", u.Scheme)
	case u.Hostname() == "":
		return nil, refused("the URL has no host")
	}
	return u, nil
}

// judge says whether a URL may be fetched.
func (g guard) judge(ctx context.Context, text string) (place, error) {
	u, err := form(text)
	switch {
	case err != nil:
		return place{}, err
	case u.Scheme == "file":
		return g.judgeFile(u)
	}
	// What the guard looks up and what git connects to have to be one name: without the dot at
	// its end, and none that some take for an address (127.1, 0x7f000001).
	u.Host = strings.Replace(u.Host, u.Hostname(), strings.TrimSuffix(u.Hostname(), "."), 1)
	host := strings.ToLower(u.Hostname())
	named := false
	for _, n := range g.names {
		named = named || n == host
	}
	var addrs []netip.Addr
	literal := false
	if a, err := netip.ParseAddr(host); err == nil {
		addrs, literal = []netip.Addr{a}, true
	} else if numeric(host) {
		return place{}, refused("the host '%s' is neither a name nor an address", host)
	} else {
		ctx, stop := context.WithTimeout(ctx, resolveTime)
		defer stop()
		if addrs, err = g.lookup(ctx, host); err != nil {
			return place{}, fmt.Errorf("the host '%s' is not found: %w", host, err)
		}
	}
	var good []string
	for _, a := range addrs {
		listed := named || g.listed(a)
		if listed || egress.Public(a) && u.Scheme == "https" {
			good = append(good, bracketed(a))
		}
	}
	if len(good) == 0 {
		if u.Scheme == "http" {
			return place{}, refused("http:// is only spoken with hosts that the operator of this server has named (connection-hosts)")
		}
		return place{}, refused("the host '%s' is in a private network, and the operator of this server has not named it (connection-hosts)", host)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	p := place{url: u.String(), protocol: u.Scheme}
	if !literal {
		p.pin = u.Hostname() + ":" + port + ":" + strings.Join(good, ",")
	}
	return p, nil
}

// numeric says whether a name ends in a number, as no name of the internet does.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || strings.Trim(last, "0123456789") == ""
}

func bracketed(a netip.Addr) string {
	if a = a.Unmap(); a.Is6() {
		return "[" + a.WithZone("").String() + "]"
	}
	return a.String()
}

func (g guard) judgeFile(u *url.URL) (place, error) {
	if g.files == "" {
		return place{}, refused("file:// is only for folders that the operator of this server has named (connection-files)")
	}
	real, err := filepath.EvalSymlinks(filepath.FromSlash(u.Path))
	if err != nil {
		return place{}, refused("there is no such folder")
	}
	inside, err := filepath.Rel(g.files, real)
	if err != nil || !filepath.IsLocal(inside) {
		return place{}, refused("the folder is not below the one that the operator of this server has named (connection-files)")
	}
	return place{url: (&url.URL{Scheme: "file", Path: filepath.ToSlash(real)}).String(), protocol: "file"}, nil
}

func (g guard) listed(a netip.Addr) bool {
	for _, r := range g.ranges {
		if r.Contains(a.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}
