package rubygems_test

import (
	"fmt"

	"mkbuild/internal/rubygems"
)

func Example() {
	wanted, err := rubygems.ParseRequirement("~> 1.3", "!= 1.3.4")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []string{"1.3.1", "1.3.4", "2.0.rc1"} {
		v, err := rubygems.ParseVersion(s)
		fmt.Println(s, wanted.SatisfiedBy(v), v.Prerelease(), err)
	}
	// Output:
	// 1.3.1 true false <nil>
	// 1.3.4 false false <nil>
	// 2.0.rc1 false true <nil>
}
