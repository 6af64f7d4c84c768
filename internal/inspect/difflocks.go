package inspect

import (
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/lock"
)

// locks compares what locks, or manifests, name.
func (d *Diff) locks(a, b *Image) error {
	x, err := inputsOf(a)
	if err != nil {
		return err
	}
	y, err := inputsOf(b)
	if err != nil {
		return err
	}
	if l, m := a.Lock, b.Lock; l != nil && m != nil {
		for _, f := range [][3]string{
			{"configuration", l.Config, m.Config}, {"release", l.Release, m.Release}, {"arch", l.Arch, m.Arch},
			{"kernel", l.Kernel, m.Kernel}, {"source date", fmt.Sprint(l.SourceDate), fmt.Sprint(m.SourceDate)},
		} {
			d.add("lock", f[0], differ([3]string{"text", f[1], f[2]})...)
		}
	}
	d.inputs(x, y)
	return nil
}

func inputsOf(m *Image) ([]lock.Input, error) {
	switch {
	case m.Lock != nil:
		return m.Lock.Inputs, nil
	case m.Manifest != nil:
		return m.Manifest.Inputs, nil
	}
	return nil, fmt.Errorf("read the inputs of %s: %w: it has no manifest", m.Name, ErrIncomparable)
}

func (d *Diff) inputs(a, b []lock.Input) {
	ka, ia := inputKeys(a)
	kb, ib := inputKeys(b)
	_ = d.pairs(AreaInput, ka, kb, func(key string) error { // nothing in it fails
		x, y := ia[key], ib[key]
		d.add(AreaInput, key, differ([3]string{"sha256", x.SHA256, y.SHA256}, [3]string{"size", fmt.Sprint(x.Size), fmt.Sprint(y.Size)},
			[3]string{"needs", strings.Join(x.Needs, " "), strings.Join(y.Needs, " ")})...)
		return nil
	})
}

func inputKeys(list []lock.Input) ([]string, map[string]lock.Input) {
	var keys []string
	by := map[string]lock.Input{}
	for _, in := range list {
		key := in.Name
		keys = append(keys, key)
		by[key] = in
	}
	slices.Sort(keys)
	return slices.Compact(keys), by
}
