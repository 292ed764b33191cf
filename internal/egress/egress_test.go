package egress_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"penstock/internal/egress"
)

// N-15: which addresses are the internet.
func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:2800:220:1:248:1893:25c8:1946": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.8.8.8": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.1.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"168.63.129.16": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "::127.0.0.1": false, "fec0::1": false,
	} {
		if got := egress.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if egress.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// N-14, N-15: private targets are this machine and private networks; no address of a link is one,
// nor any at which a cloud gives its machines credentials, however it is written.
func TestAllowed(t *testing.T) {
	t.Parallel()
	for text, private := range map[string]bool{
		"127.0.0.1": true, "127.8.8.8": true, "::1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "fd00::1": true, "fc00::1": true,
		"::ffff:127.0.0.1": true, "::ffff:10.0.0.1": true,
		"169.254.169.254": false, "169.254.170.2": false, "169.254.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::a9fe:a9fe": false,
		"2002:a9fe:a9fe::": false, "::169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fe80::a9fe:a9fe": false, "fec0::1": false,
		"fd00:ec2::254": false, "fd00:ec2::23": false, "fd20:ce::254": false, "168.63.129.16": false, "100.100.100.200": false, "192.0.0.192": false,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
	} {
		a := netip.MustParseAddr(text)
		if got := egress.Allowed(a, true); got != private {
			t.Errorf("%s: %v with private targets", text, got)
		}
		if egress.Allowed(a, false) {
			t.Errorf("%s: without private targets", text)
		}
	}
	for _, text := range []string{"8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"} {
		if a := netip.MustParseAddr(text); !egress.Allowed(a, false) || !egress.Allowed(a, true) {
			t.Error(text)
		}
	}
}

// N-15: the guard looks at the address that is dialled, whatever name led to it, and no
// redirect leads around it.
func TestClient(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/", http.StatusFound))
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		answer, err := egress.Client(false).Get("http://" + host + ":" + port)
		if err == nil {
			answer.Body.Close()
		}
		if !errors.Is(err, egress.ErrPrivate) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]"} {
		answer, err := egress.Client(true).Get("http://" + host + ":" + port)
		if err == nil {
			answer.Body.Close()
		}
		if !errors.Is(err, egress.ErrPrivate) {
			t.Errorf("%s with private targets: %v", host, err)
		}
	}
	answer, err := egress.Client(true).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusFound {
		t.Error(answer.Status)
	}
}
