package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
)

// Names of subjects that are parts of an image. No file of a form has such a name.
const (
	kernelName  = "#kernel"
	initrdName  = "#initrd"
	segmentName = "#segment/"
)

// Parts are the digests of the parts that all forms of an image share.
type Parts struct {
	Kernel, Initrd string
	Segments       []manifest.Segment
}

func (p *Parts) subjects() []Descriptor {
	if p == nil {
		return nil // an overlay alone boots nothing
	}
	out := []Descriptor{SHA256(kernelName, p.Kernel), SHA256(initrdName, p.Initrd)}
	for _, s := range p.Segments {
		out = append(out, SHA256(segmentName+s.Name, s.SHA256))
	}
	return out
}

// provenance is the predicate of SLSA provenance v1.
type provenance struct {
	BuildDefinition struct {
		BuildType          string       `json:"buildType"`
		ExternalParameters external     `json:"externalParameters"`
		InternalParameters internal     `json:"internalParameters"`
		Dependencies       []Descriptor `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder builder `json:"builder"`
	} `json:"runDetails"`
}

type external struct {
	Config json.RawMessage `json:"configuration"` // as in the manifest: without secrets and places
}

type internal struct {
	ConfigSHA256 string `json:"configurationSha256"`
	LockSHA256   string `json:"lockSha256,omitempty"`
	Plan         string `json:"plan"` // the manifest's
	SourceDate   int64  `json:"sourceDate"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

// builderOf names the program; the key identifies who ran it.
func builderOf(version string) builder {
	return builder{"mkbuild:builder/v1", map[string]string{"mkbuild": version}}
}

// Built states how an image was built: m is its manifest, without files and segments; forms are the written
// forms; lockSum is the digest of the lock file, "" without one.
func Built(m *manifest.Manifest, parts *Parts, lockSum string, forms []Descriptor) (*Statement, error) {
	p := provenance{}
	p.BuildDefinition.BuildType = "mkbuild:image/v1"
	p.BuildDefinition.ExternalParameters.Config = m.Config
	p.BuildDefinition.InternalParameters = internal{ConfigSHA256: sumOf(m.Config), LockSHA256: lockSum, Plan: m.Plan, SourceDate: m.SourceDate}
	p.BuildDefinition.Dependencies = dependencies(m.Inputs)
	p.RunDetails.Builder = builderOf(m.Mkbuild)
	return Says(Provenance, p, append(forms, parts.subjects()...)...)
}

func dependencies(inputs []lock.Input) []Descriptor {
	out := []Descriptor{}
	for _, in := range inputs {
		out = append(out, SHA256(in.Kind+"/"+in.Name, in.SHA256))
	}
	return out
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Holds returns the first difference of a provenance from an image with the manifest m.
func (s *Statement) Holds(m *manifest.Manifest, parts *Parts) error {
	for _, d := range parts.subjects() {
		sum, err := s.subject(d.Name)
		if err == nil && sum != d.Digest["sha256"] {
			err = fmt.Errorf("its subject %s differs from the image's", d.Name)
		}
		if err != nil {
			return err
		}
	}
	p, err := s.provenance()
	if err != nil {
		return err
	}
	def := &p.BuildDefinition
	switch {
	case !sameJSON(def.ExternalParameters.Config, m.Config), def.InternalParameters.ConfigSHA256 != sumOf(m.Config), def.InternalParameters.Plan != m.Plan:
		return errors.New("it is of another configuration than the image's")
	case def.InternalParameters.SourceDate != m.SourceDate, p.RunDetails.Builder.Version["mkbuild"] != m.Mkbuild:
		return errors.New("it is of another build than the image's")
	}
	return compareInputs(def.Dependencies, dependencies(m.Inputs), "the image was made of")
}

func (s *Statement) provenance() (*provenance, error) {
	p := &provenance{}
	if err := json.Unmarshal(s.Predicate, p); err != nil {
		return nil, errors.New("its predicate is not SLSA's")
	}
	return p, nil
}

// LockedBy returns the first input of a provenance that a lock lacks.
func (s *Statement) LockedBy(l *lock.Lock) error {
	p, err := s.provenance()
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, d := range dependencies(l.Inputs) {
		have[d.Name] = d.Digest["sha256"]
	}
	for _, d := range p.BuildDefinition.Dependencies {
		if have[d.Name] != d.Digest["sha256"] {
			return fmt.Errorf("the image was made of another %s than the lock's", d.Name)
		}
	}
	return nil
}

func compareInputs(got, want []Descriptor, what string) error {
	if len(got) != len(want) {
		return fmt.Errorf("it names %d inputs, and %s %d", len(got), what, len(want))
	}
	for i, d := range want {
		if got[i].Name != d.Name || got[i].Digest["sha256"] != d.Digest["sha256"] {
			return fmt.Errorf("it names another input than %s: %s", what, d.Name)
		}
	}
	return nil
}

// sameJSON compares two texts by their values.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, err1 := json.Marshal(x) // keys come out sorted
	q, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && string(p) == string(q)
}

// Rebuilt states that a rebuild of an image gave the same bytes.
func Rebuilt(image Descriptor, version string) (*Statement, error) {
	return Says(Reproduced, struct {
		Builder builder `json:"builder"`
	}{builderOf(version)}, image)
}

// Booted states that an image booted as expected. configuration has the expectations.
func Booted(image Descriptor, configuration any) (*Statement, error) {
	text, err := json.Marshal(configuration)
	if err != nil {
		return nil, err
	}
	return Says(Tested, map[string]any{
		"result":        "PASSED",
		"configuration": []Descriptor{{Name: "mkbuild test", Content: text, MediaType: "application/json"}},
	}, image)
}

// Passed reports whether a test passed.
func (s *Statement) Passed() bool {
	var p struct {
		Result string `json:"result"`
	}
	return json.Unmarshal(s.Predicate, &p) == nil && p.Result == "PASSED"
}
