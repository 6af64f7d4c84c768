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

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

const maxAnswer = 1 << 20 // bytes of an answer to a check-in

var errAnswer = errors.New("unusable answer")

// checkin posts the facts and returns the server's action.
func (c *Client) checkin(ctx context.Context, col *facts.Collection) (string, error) {
	body, err := json.Marshal(col.Body())
	if err != nil {
		return "", fmt.Errorf("encode facts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Request)
	defer cancel()
	action, err := c.post(ctx, body, col)
	status, ok := errors.AsType[*web.StatusError](err)
	if !ok || status.Status != http.StatusNotFound || c.server() == nil {
		return action, err
	}
	c.node = "" // the server forgot this node: ask for a new id
	id, askErr := c.askNodeID(ctx, col)
	if askErr != nil {
		return "", fmt.Errorf("%w; ask for a new id: %w", err, askErr)
	}
	c.log.Logf(clientlog.Info, "the server has forgotten this node: the new id is %s", id)
	c.node = id
	return c.post(ctx, body, col)
}

// server is the root of the Razor server for check-ins; nil if razor.register has another form.
func (c *Client) server() *url.URL {
	base, needsID := c.set.RegisterURL()
	if needsID {
		base += "/0"
	}
	root, _ := splitCheckin(base)
	return root
}

// post sends one check-in.
func (c *Client) post(ctx context.Context, body []byte, col *facts.Collection) (string, error) {
	target, err := c.checkinURL(ctx, col)
	if err != nil {
		return "", err
	}
	// The server compares the media type as text: no charset parameter.
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	resp, err := c.web.Do(ctx, http.MethodPost, target, header, body)
	if err != nil {
		return "", fmt.Errorf("check in: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("check in: %w", web.BadStatus(target, resp))
	}
	action, err := readAction(resp)
	if err != nil {
		return "", fmt.Errorf("check in: %s: %w", settings.Redact(target), err)
	}
	c.posted = target
	return action, nil
}

// readAction decodes {"action": "…"}, the server's only answer.
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

// checkinURL adds the node's id to the URL if only the server is known, or the new id after the server has
// forgotten the one in razor.register.
func (c *Client) checkinURL(ctx context.Context, col *facts.Collection) (string, error) {
	base, needsID := c.set.RegisterURL()
	if c.node == "" && !needsID {
		return base, nil
	}
	if c.node == "" {
		id, err := c.askNodeID(ctx, col)
		if err != nil {
			return "", fmt.Errorf("ask for the node's id: %w", err)
		}
		c.node = id
	}
	return c.server().JoinPath("svc/checkin", c.node).String(), nil
}

// askNodeID makes the server find or create the node, for a machine that did not boot through the server's iPXE
// script.
func (c *Client) askNodeID(ctx context.Context, col *facts.Collection) (string, error) {
	query := nodeQuery(col)
	if len(query) == 0 {
		return "", fmt.Errorf("%w: no hardware address, serial number or uuid to identify the machine", errAnswer)
	}
	target := c.server().JoinPath("svc/nodeid")
	target.RawQuery = query.Encode()
	resp, err := c.web.Do(ctx, http.MethodGet, target.String(), http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", web.BadStatus(target.String(), resp)
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
func nodeQuery(col *facts.Collection) url.Values {
	q := url.Values{}
	for i, n := range facts.Identifying(col.NICs) {
		q.Set("net"+strconv.Itoa(i), strings.ReplaceAll(n.MAC, ":", "-"))
	}
	for param, name := range map[string]string{"serial": "serialnumber", "uuid": "uuid"} {
		if v, ok := col.Facts[name].(string); ok && !isPlaceholder(v) {
			q.Set(param, v)
		}
	}
	return q
}

// isPlaceholder recognises board makers' placeholders in DMI fields: the same text on every machine identifies
// none.
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

// splitCheckin splits a check-in URL of the Razor server into the server's root, nil if the URL has another form,
// and the node's id.
func splitCheckin(text string) (root *url.URL, id string) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, ""
	}
	m := checkinPath.FindStringSubmatch(u.Path)
	if m == nil {
		return nil, ""
	}
	u.Path, u.RawPath = m[1], ""
	return u, m[2]
}

// tell sends one line to the node's log on the server. The server knows the node only after a check-in.
func (c *Client) tell(ctx context.Context, level clientlog.Level, msg string) error {
	root, id := splitCheckin(c.posted)
	if root == nil {
		return nil // not a Razor URL: there is no log to write to
	}
	u := root.JoinPath("svc/log", id)
	u.RawQuery = url.Values{"msg": {clientlog.Printable(msg)}, "severity": {level.String()}}.Encode()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Request)
	defer cancel()
	resp, err := c.web.Do(ctx, http.MethodGet, u.String(), http.Header{}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return web.BadStatus(c.posted, resp)
	}
	return nil
}
