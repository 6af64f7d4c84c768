package fetch

import "errors"

// verdict turns what came of each source into the one error of the request. Content that was
// there but wrong says more than a dead mirror, and that more than an absence, so it goes first.
func (j *job) verdict(attempts []Attempt) error {
	for _, class := range []func(error) bool{isA[*ChecksumError], isA[*ContentError], isA[*SizeError]} {
		for _, a := range attempts {
			if class(a.Err) {
				return a.Err
			}
		}
	}
	urls, missing, offline, insecure := make([]string, 0, len(attempts)), 0, 0, 0
	for _, a := range attempts {
		urls = append(urls, a.URL)
		if errors.Is(a.Err, ErrNotFound) {
			missing++
		}
		if errors.Is(a.Err, ErrOffline) {
			offline++
		}
		if errors.Is(a.Err, ErrInsecure) {
			insecure++
		}
	}
	switch {
	case missing == len(attempts):
		return &NotFoundError{Name: j.Name, URLs: urls}
	case offline > 0:
		return &OfflineError{Name: j.Name, URLs: urls, Damaged: j.damaged, Plain: j.overHTTP}
	case insecure > 0 && insecure+missing == len(attempts):
		return &InsecureError{Name: j.Name, URLs: urls}
	}
	return &NetworkError{Name: j.Name, Attempts: attempts}
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
