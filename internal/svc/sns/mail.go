package sns

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"time"

	"penstock/internal/courier"
	"penstock/internal/store"
)

// mailed are the retries that SNS gives mail: fifty within six hours.
var mailed = retries{Min: 10, Max: 600, Retries: 50, AtMin: 2, AtMax: 38, Function: "exponential"}

// askAgain is how long a mailbox that was asked is not asked again, whoever subscribes it.
const askAgain = time.Minute

const (
	confirmationPage = "confirmation.html"
	unsubscribePage  = "unsubscribe.html"
)

func isMail(protocol string) bool { return protocol == "email" || protocol == "email-json" }

// mail sends a message to a mailbox.
func (r *Room) mail(ctx context.Context, m *message, s store.Subscription, doc subscriptionDoc, about topicDoc) error {
	if r.deps.Mail == nil {
		return courier.GiveUp(errors.New("this server sends no mail any more; it runs without --smtp"))
	}
	base := r.deps.PublicURL() + pathPrefix
	subject, text := "AWS Notification - Subscription Confirmation", ""
	link := ""
	if m.Type == typeConfirmation {
		link = base + confirmationPage + "?" + url.Values{"TopicArn": {m.Topic}, "Token": {m.Token}}.Encode()
		text = "You have chosen to subscribe to the topic:\n" + m.Topic + "\n\nTo confirm this subscription, click or visit the link below (if this was in error no action is necessary):\n" + link + "\n"
	} else {
		subject = m.Subject
		if subject == "" {
			subject = "AWS Notification Message"
		}
		link = base + unsubscribePage + "?" + url.Values{"SubscriptionArn": {subscriptionARN(s)}}.Encode()
		text = m.Text + "\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below to unsubscribe:\n" + link + "\n"
	}
	if doc.Protocol == "email-json" {
		signer, err := r.signing(ctx)
		if err != nil {
			return err
		}
		if text, err = m.envelope(signer, about.Attributes["SignatureVersion"], base, subscriptionARN(s)); err != nil {
			return err
		}
	}
	letter, err := r.deps.Mail.letter(s, m, about.Attributes["DisplayName"], subject, text, base)
	if err != nil {
		return courier.GiveUp(err)
	}
	return r.deps.Mail.send(ctx, s.Endpoint, letter)
}

// letter writes a mail. What users give stands in it encoded: no header of theirs can begin.
func (m *Mailer) letter(s store.Subscription, msg *message, display, subject, text, base string) ([]byte, error) {
	if !mailForm().MatchString(s.Endpoint) {
		return nil, errors.New("the endpoint is no mail address")
	}
	at, err := time.Parse(time.RFC3339, msg.Time)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	header := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	header("Date", at.Format(time.RFC1123Z))
	header("From", m.sender(display))
	header("To", s.Endpoint)
	header("Subject", mime.QEncoding.Encode("utf-8", subject))
	// The same for every attempt, so that a mailbox can tell a copy.
	header("Message-ID", "<"+msg.ID+"."+s.ID+"@"+m.from[strings.LastIndexByte(m.from, '@')+1:]+">")
	header("x-amz-sns-message-id", msg.ID)
	header("x-amz-sns-subscription-arn", subscriptionARN(s))
	header("Auto-Submitted", "auto-generated")
	if msg.Type == typeNotification {
		header("List-Unsubscribe", "<"+base+"?"+url.Values{"Action": {"Unsubscribe"}, "SubscriptionArn": {subscriptionARN(s)}}.Encode()+">")
		header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=UTF-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}
