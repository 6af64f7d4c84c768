package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Site is a web server under test. Nodes are the nodes of a Razor check-in server.
type Site struct {
	T   testing.TB
	URL string
}

// Answer is a site's answer; Err is the error of sending the request or of reading the body.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error
}

// Do sends one request. Headers are "Name: value".
func (s Site) Do(method, path, body string, headers ...string) Answer {
	s.T.Helper()
	req, err := http.NewRequestWithContext(s.T.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	client := http.Client{Timeout: 5 * time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(b), err}
}

// Get is Do with GET.
func (s Site) Get(path string, headers ...string) Answer {
	s.T.Helper()
	return s.Do(http.MethodGet, path, "", headers...)
}

// Node makes or finds the node with this MAC, and returns its number.
func (s Site) Node(mac string) uint64 {
	s.T.Helper()
	var v struct{ ID uint64 }
	if a := s.Get("/svc/nodeid?net0=" + mac); json.Unmarshal([]byte(a.Body), &v) != nil || v.ID == 0 {
		s.T.Fatalf("nodeid: %d %s, %v", a.Status, a.Body, a.Err)
	}
	return v.ID
}

// CheckIn posts the facts of a node.
func (s Site) CheckIn(node uint64, facts map[string]any, headers ...string) Answer {
	s.T.Helper()
	b, err := json.Marshal(map[string]any{"hw_id": "525400000001", "facts": facts})
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Do(http.MethodPost, fmt.Sprintf("/svc/checkin/%d", node), string(b), append(headers, "Content-Type: application/json")...)
}

// Contains fails the test unless got has each of the texts.
func Contains(t testing.TB, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is missing in:\n%.3000s", w, got)
		}
	}
}

// Lacks fails the test if got has any of the texts.
func Lacks(t testing.TB, got string, bad ...string) {
	t.Helper()
	for _, w := range bad {
		if strings.Contains(got, w) {
			t.Errorf("%q is in:\n%.3000s", w, got)
		}
	}
}
