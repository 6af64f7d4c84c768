package remaster

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"mkbuild/internal/config"
)

// A mirror on disk holds archives and gems by their names, whatever places are configured.
func TestArchivesOfMirror(t *testing.T) {
	t.Parallel()
	elsewhere := func(c *config.Config) {
		c.RubyGems.URL, c.MCollective.URL, c.Gems.Source = []string{"http://127.0.0.1:1/r.tgz"}, []string{"http://127.0.0.1:1/m.tgz"}, []string{"http://127.0.0.1:1/"}
	}
	b, _ := builder(t, t.TempDir())
	b.Fetch.HTTP.Transport = noNetwork{t}
	if got, want := overlaySum(t, b, plan(t, pristine, elsewhere)), overlaySum(t, b, plan(t, pristine)); got != want {
		t.Error("other bytes")
	}
}

// noNetwork is a transport that must not be used.
type noNetwork struct{ t testing.TB }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked for %s", r.URL)
	return nil, errors.New("no network")
}

// A mirror on the network comes after what is configured, unless a lock decides.
func TestArchivesOfMirrorOnNetwork(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	p := planAt(t, srv.URL)
	s := &sources{plan: p}
	configured := []string{"https://configured/stomp-1.2.0.gem"}
	for locked, want := range map[bool][]string{
		false: {configured[0], srv.URL + "/archives/stomp-1.2.0.gem"},
		true:  {srv.URL + "/archives/stomp-1.2.0.gem", configured[0]},
	} {
		if got, err := s.archiveURLs("stomp-1.2.0.gem", configured, locked); err != nil || !slices.Equal(got, want) {
			t.Errorf("locked %v: got %q, %v", locked, got, err)
		}
	}
}
