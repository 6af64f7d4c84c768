package razor_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"mkbuild/internal/razor"
)

// A machine requests its identity, then checks in, like a microkernel.
func Example() {
	dir, err := os.MkdirTemp("", "razor-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := razor.New(razor.Options{Config: razor.DefaultConfig(), DataDir: dir})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	web := httptest.NewServer(s.Handler(nil))
	defer web.Close()

	for _, ask := range []func() (*http.Response, error){
		func() (*http.Response, error) { return http.Get(web.URL + "/svc/nodeid?net0=52-54-00-12-34-56") },
		func() (*http.Response, error) {
			facts := `{"hw_id":"525400123456","facts":{"macaddress":"52:54:00:12:34:56"}}`
			return http.Post(web.URL+"/svc/checkin/1", "application/json", strings.NewReader(facts))
		},
	} {
		res, err := ask()
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			panic(err)
		}
		fmt.Println(res.Status, string(body))
		res.Body.Close()
	}
	// Output:
	// 200 OK {"id":1}
	// 200 OK {"action":"none"}
}
