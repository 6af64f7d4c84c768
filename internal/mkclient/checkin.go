package mkclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer     = 1 << 20          // bytes of an answer to a check-in
	maxRetryAfter = 10 * time.Minute // longest pause that a server may ask for
)

var errAnswer = errors.New("unusable answer")

// checkin posts the facts and returns the action that the server wants.
func (c *Client) checkin(ctx context.Context, col *Collection) (string, error) {
	facts, nics := col.Facts, col.nics
	body, err := json.Marshal(col.Body())
	if err != nil {
		return "", fmt.Errorf("encode facts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Request)
	defer cancel()
	action, err := c.post(ctx, body, facts, nics)
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusNotFound || c.server() == "" {
		return action, err
	}
	c.node = "" // the server forgot this node: ask for a new id
	id, askErr := c.askNodeID(ctx, facts, nics)
	if askErr != nil {
		return "", fmt.Errorf("%w; ask for a new id: %w", err, askErr)
	}
	c.log().Logf(Info, "the server has forgotten this node: it is node %s now", id)
	c.node = id
	return c.post(ctx, body, facts, nics)
}

// server is the base URL of the Razor server that check-ins go to, "" when razor.register has
// not the form of one.
func (c *Client) server() string {
	base, needsID := c.set.RegisterURL()
	if needsID {
		return c.set.Server
	}
	u, prefix, _ := splitCheckin(base)
	if u == nil {
		return ""
	}
	u.Path, u.RawPath, u.RawQuery = prefix, "", ""
	return u.String()
}

// post sends one check-in.
func (c *Client) post(ctx context.Context, body []byte, facts Facts, nics []nic) (string, error) {
	target, err := c.checkinURL(ctx, facts, nics)
	if err != nil {
		return "", err
	}
	// The server compares the media type as text: no charset parameter.
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	resp, err := c.web.do(ctx, http.MethodPost, target, header, body)
	if err != nil {
		return "", fmt.Errorf("check in: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("check in: %w", statusError(target, resp))
	}
	action, err := readAction(resp)
	if err != nil {
		return "", fmt.Errorf("check in: %s: %w", redact(target), err)
	}
	c.posted = target
	return action, nil
}

func statusError(target string, resp *http.Response) error {
	e := &StatusError{URL: target, Status: resp.StatusCode}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		e.After = min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	return e
}

// readAction decodes {"action": "…"}, the only answer that the server has.
func readAction(resp *http.Response) (string, error) {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return "", fmt.Errorf("%w: content type %q", errAnswer, resp.Header.Get("Content-Type"))
	}
	var answer struct {
		Action *string `json:"action"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("%w: %w", errAnswer, err)
	}
	if answer.Action == nil || *answer.Action == "" {
		return "", fmt.Errorf("%w: no action in it", errAnswer)
	}
	return *answer.Action, nil
}

// checkinURL completes the URL with the node's id where only the server is known, and with
// the new one after the server has forgotten the id in razor.register.
func (c *Client) checkinURL(ctx context.Context, facts Facts, nics []nic) (string, error) {
	base, needsID := c.set.RegisterURL()
	switch {
	case !needsID && c.node == "":
		return base, nil
	case !needsID:
		u, prefix, _ := splitCheckin(base)
		u.Path, u.RawPath = prefix+"/svc/checkin/"+c.node, ""
		return u.String(), nil
	case c.node == "":
		id, err := c.askNodeID(ctx, facts, nics)
		if err != nil {
			return "", fmt.Errorf("ask for the node's id: %w", err)
		}
		c.node = id
	}
	return base + "/" + c.node, nil
}

// askNodeID has the server find or create the node: the way in for a machine that was not
// booted through the server's iPXE script.
func (c *Client) askNodeID(ctx context.Context, facts Facts, nics []nic) (string, error) {
	query := nodeQuery(facts, nics)
	if len(query) == 0 {
		return "", fmt.Errorf("%w: no hardware address, serial number or uuid to identify the machine", errAnswer)
	}
	target := c.server() + "/svc/nodeid"
	resp, err := c.web.do(ctx, http.MethodGet, target+"?"+query.Encode(), http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", statusError(target, resp)
	}
	var answer struct {
		ID json.Number `json:"id"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("%w: %w", errAnswer, err)
	}
	if _, err := strconv.ParseUint(answer.ID.String(), 10, 63); err != nil {
		return "", fmt.Errorf("%w: node id %q", errAnswer, answer.ID)
	}
	return answer.ID.String(), nil
}

// nodeQuery names the machine as iPXE does: net0=aa-bb-…, serial, uuid.
func nodeQuery(facts Facts, nics []nic) url.Values {
	q := url.Values{}
	for i, n := range identityNICs(nics) {
		q.Set("net"+strconv.Itoa(i), strings.ReplaceAll(n.MAC, ":", "-"))
	}
	for param, name := range map[string]string{"serial": "serialnumber", "uuid": "uuid"} {
		if v, ok := facts[name].(string); ok && !isPlaceholder(v) {
			q.Set(param, v)
		}
	}
	return q
}

// isPlaceholder recognises what board makers leave in DMI fields that they never filled:
// the same text on every machine identifies none.
func isPlaceholder(v string) bool {
	v = strings.ToLower(strings.TrimSpace(v))
	switch v {
	case "", "none", "not specified", "not available", "unknown", "default string", "system serial number",
		"to be filled by o.e.m.", "0123456789", "n/a", "03000200-0400-0500-0006-000700080009":
		return true
	}
	return strings.Trim(v, "0-") == "" || strings.Trim(v, "f-") == ""
}

var checkinPath = regexp.MustCompile(`^(.*)/svc/checkin/([0-9]+)$`)

// splitCheckin takes a check-in URL of the Razor server apart: what comes before /svc and the
// node's id. The URL is nil when it is none of a Razor server.
func splitCheckin(text string) (u *url.URL, prefix, id string) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, "", ""
	}
	m := checkinPath.FindStringSubmatch(u.Path)
	if m == nil {
		return nil, "", ""
	}
	return u, m[1], m[2]
}

// tell sends one line to the node's log on the server. The server knows the node only after a
// check-in, so the caller does that first.
func (c *Client) tell(ctx context.Context, level Level, msg string) error {
	u, prefix, id := splitCheckin(c.posted)
	if u == nil {
		return nil // not a Razor URL: there is no log to write to
	}
	u.Path, u.RawPath = prefix+"/svc/log/"+id, ""
	u.RawQuery = url.Values{"msg": {printable(msg)}, "severity": {level.String()}}.Encode()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Request)
	defer cancel()
	resp, err := c.web.do(ctx, http.MethodGet, u.String(), http.Header{}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return statusError(c.posted, resp)
	}
	return nil
}
