package sns

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "penstock/internal/api/sns"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// letter is a mail as the server got it.
type letter struct {
	from, to string
	secure   bool
	user     string
	header   mail.Header
	text     string
}

// postOffice is an SMTP server that keeps what it gets.
type postOffice struct {
	t       *testing.T
	address string
	tls     *tls.Config // offers STARTTLS
	got     chan letter

	mu      sync.Mutex
	answers []string // to the next messages' ends; then 250
}

func newPostOffice(t *testing.T, secure *tls.Config) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{t: t, address: l.Addr().String(), tls: secure, got: make(chan letter, 100)}
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				p.serve(conn)
			})
		}
	})
	return p
}

func (p *postOffice) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 office")
	m := letter{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			if p.tls != nil && !m.secure {
				say("250-office\r\n250 STARTTLS")
			} else {
				say("250-office\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			s := tls.Server(conn, p.tls)
			if s.Handshake() != nil {
				return
			}
			conn, in, m.secure = s, bufio.NewReader(s), true
		case "AUTH":
			plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			m.user = strings.ReplaceAll(strings.TrimPrefix(string(plain), "\x00"), "\x00", ":")
			say("235 in")
		case "MAIL":
			m.from = rest
			say("250 ok")
		case "RCPT":
			m.to = rest
			if strings.Contains(rest, "nobody@") {
				say("550 no such mailbox")
			} else {
				say("250 ok")
			}
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			p.mu.Lock()
			answer := "250 kept"
			if len(p.answers) > 0 {
				answer, p.answers = p.answers[0], p.answers[1:]
			}
			p.mu.Unlock()
			say(answer)
			read, err := mail.ReadMessage(strings.NewReader(text.String()))
			if err != nil {
				p.t.Error(err)
				return
			}
			body, err := io.ReadAll(quotedprintable.NewReader(read.Body))
			if err != nil {
				p.t.Error(err)
			}
			m.header, m.text = read.Header, strings.ReplaceAll(string(body), "\r\n", "\n")
			p.got <- m
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what")
		}
	}
}

func (p *postOffice) next() letter {
	p.t.Helper()
	select {
	case m := <-p.got:
		return m
	case <-time.After(patient):
		p.t.Fatal("no mail")
		panic("not reached")
	}
}

// mailing is a room that hands its mail to the office.
func mailing(t *testing.T, db *store.DB, office *postOffice) *bench {
	t.Helper()
	m, err := NewMailer("smtp://me:p%40ss@"+office.address, "penstock@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if office.tls != nil {
		m.trust = &tls.Config{RootCAs: office.tls.RootCAs}
	}
	return newBenchWith(t, db, Deps{Mail: m})
}

// press does what a person does with a link of a mail: look at the page, which changes nothing,
// and press its button.
func press(t *testing.T, link string) string {
	t.Helper()
	_, page := get(t, link)
	m := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
	if m == nil || strings.Contains(page, "<script") {
		t.Fatalf("the page of %s: %s", link, page)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(u.Scheme+"://"+u.Host+strings.ReplaceAll(m[1], "&amp;", "&"), "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(answer.StatusCode, " ", string(text))
}

var linkForm = regexp.MustCompile(`http://\S+`)

func (b *bench) subscribed() (list []string) {
	out, err := b.ListSubscriptions(b.ctx, &wire.ListSubscriptionsInput{})
	if err != nil {
		return []string{err.Error()}
	}
	for _, s := range out.Subscriptions {
		list = append(list, s.Protocol+" "+s.Endpoint+" "+s.SubscriptionArn)
	}
	return list
}

// patient is more than the first wait after a failure of the mail server.
const patient = 5 * time.Minute

// N-15: a mailbox is asked, confirms by a page, gets what is published, again after a failure of
// the mail server, and can leave; what users write begins no header.
func TestMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		office := newPostOffice(t, nil)
		b := mailing(t, db, office)
		if _, err := b.SetTopicAttributes(b.ctx, &wire.SetTopicAttributesInput{TopicArn: news, AttributeName: "DisplayName", AttributeValue: "Releases\r\nBcc: x@example.org"}); err != nil {
			t.Fatal(err)
		}
		for range 3 { // asked three times, it is written to once
			if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "email", Endpoint: "ann@example.org"}); err != nil {
				t.Fatal(err)
			}
		}
		ask := office.next()
		if ask.user != "me:p@ss" || ask.from != "FROM:<penstock@example.org>" && !strings.HasPrefix(ask.from, "FROM:<penstock@example.org> ") || ask.to != "TO:<ann@example.org>" ||
			ask.header.Get("To") != "ann@example.org" || ask.header.Get("Subject") != "AWS Notification - Subscription Confirmation" || ask.header.Get("Bcc") != "" {
			t.Errorf("%+v", ask)
		}
		if from, err := mail.ParseAddress(ask.header.Get("From")); err != nil || from.Address != "penstock@example.org" || !strings.HasPrefix(from.Name, "Releases") {
			t.Errorf("%v %v", from, err)
		}
		link := linkForm.FindString(ask.text)
		get(t, link)
		if list := b.subscribed(); len(list) != 1 || !strings.HasSuffix(list[0], pending) {
			t.Errorf("a look at the link has confirmed: %q", list)
		}
		if text := press(t, link); !strings.HasPrefix(text, "200 ") {
			t.Error(text)
		}
		arn := strings.TrimPrefix(b.subscribed()[0], "email ann@example.org ")
		if !strings.HasPrefix(arn, news+":") {
			t.Fatal(arn)
		}
		office.mu.Lock()
		office.answers = []string{"451 later"}
		office.mu.Unlock()
		subject, text := "Grüße: ready", "One\n.\n..two é\n"+strings.Repeat("long ", 400)
		if _, err := b.Publish(b.ctx, &wire.PublishInput{TopicArn: news, Subject: subject, Message: text}); err != nil {
			t.Fatal(err)
		}
		first := office.next() // refused for now
		m := office.next()
		if first.header.Get("Message-Id") != m.header.Get("Message-Id") {
			t.Error("a mailbox cannot tell that the second is a copy")
		}
		shown, err := new(mime.WordDecoder).DecodeHeader(m.header.Get("Subject"))
		if err != nil || shown != subject || !strings.HasPrefix(m.text, text+"\n\n--\nIf you wish to stop") || m.header.Get("X-Amz-Sns-Message-Id") == "" ||
			m.header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
			t.Errorf("%q %v %+v", shown, err, m)
		}
		if answer := press(t, linkForm.FindString(m.text[strings.Index(m.text, "\n--\n"):])); !strings.HasPrefix(answer, "200 ") {
			t.Error(answer)
		}
		if list := b.subscribed(); len(list) != 0 {
			t.Errorf("%q", list)
		}
	})
}

// N-15: email-json is the signed envelope, over TLS where the server offers it.
func TestMailJSON(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	office := newPostOffice(t, &tls.Config{Certificates: srv.TLS.Certificates, RootCAs: roots})
	b := mailing(t, storetest.SQLite(t), office)
	if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "email-json", Endpoint: "a.b+c@mail.example.org"}); err != nil {
		t.Fatal(err)
	}
	m := office.next()
	if !m.secure || m.user != "me:p@ss" || !strings.Contains(m.text, `"Type" : "SubscriptionConfirmation"`) || !strings.Contains(m.text, `"Signature" : "`) {
		t.Errorf("%+v", m)
	}
}

// What a mail server says for good is not tried again, other failures are; and a server whose
// certificate is not trusted gets nothing.
func TestMailServerSays(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, nil)
	m, err := NewMailer("smtp://"+office.address, "penstock@example.org")
	if err != nil {
		t.Fatal(err)
	}
	forever := func(err error) bool { return fmt.Sprintf("%T", err) == fmt.Sprintf("%T", courier.GiveUp(err)) }
	if err := m.send(t.Context(), "nobody@example.org", []byte("Subject: x\r\n\r\nx\r\n")); !forever(err) {
		t.Errorf("%T %v", err, err)
	}
	office.answers = []string{"452 full", "554 spam"}
	if err := m.send(t.Context(), "a@example.org", []byte("Subject: x\r\n\r\nx\r\n")); err == nil || forever(err) {
		t.Errorf("%T %v", err, err)
	}
	if err := m.send(t.Context(), "a@example.org", []byte("Subject: x\r\n\r\nx\r\n")); !forever(err) {
		t.Errorf("%T %v", err, err)
	}
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	strange := newPostOffice(t, &tls.Config{Certificates: srv.TLS.Certificates})
	if m, err = NewMailer("smtp://u:p@"+strange.address, "penstock@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := m.send(t.Context(), "a@example.org", nil); err == nil || forever(err) {
		t.Errorf("a strange certificate: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	if m, err = NewMailer("smtp://"+silent.Addr().String(), "penstock@example.org"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := m.send(ctx, "a@example.org", nil); err == nil || forever(err) {
		t.Errorf("a server that says nothing: %v", err)
	}
}

// N-15: what is no mailbox, or no setting, is refused.
func TestMailRefusals(t *testing.T) {
	t.Parallel()
	b := mailing(t, storetest.SQLite(t), newPostOffice(t, nil))
	for _, endpoint := range []string{"", "a", "a@", "@b", "a@b@c", "a b@example.org", "a@example.org\r\nBcc: x@example.org", "<a@example.org>", "Ann <a@example.org>", "a@exa mple.org",
		"a@[127.0.0.1]", `"a b"@example.org`, "a@-x.org", "é@example.org", strings.Repeat("a", 65) + "@example.org", "a@" + strings.Repeat("a.", 150) + "org"} {
		if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "email", Endpoint: endpoint}); fault.Code(err) != "InvalidParameterException" {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	for name, value := range map[string]string{"RawMessageDelivery": "true", "DeliveryPolicy": `{"healthyRetryPolicy":{"numRetries":1}}`} {
		if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "email", Endpoint: "a@example.org", Attributes: map[string]string{name: value}}); fault.Code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, x := range [][2]string{{"", "a@b.org"}, {"http://x", "a@b.org"}, {"smtp://", "a@b.org"}, {"smtp://x/y", "a@b.org"}, {"smtp://u:secret@x?y", "a@b.org"}, {"smtp://x", "a"}, {"smtp://x", "a@b.org\r\nx"}, {"smtp://u:secret@:x:y", "a@b.org"}} {
		if _, err := NewMailer(x[0], x[1]); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", x, err)
		}
	}
	addresses := []string{}
	for _, server := range []string{"smtp://x", "smtps://x", "smtp://x:25"} {
		m, err := NewMailer(server, "a@b.org")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, m.address)
	}
	if !slices.Equal(addresses, []string{"x:587", "x:465", "x:25"}) {
		t.Error(addresses)
	}
}
