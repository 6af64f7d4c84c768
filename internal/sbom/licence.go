package sbom

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// unknown is SPDX's word for no information.
const unknown = "NOASSERTION"

// certain are the words of .info files and gems that mean one SPDX licence and no other, in lower
// case, as [normal] makes them. "GPL" alone, or "GPLv2", is not among them: neither says whether
// later versions will do. "BSD" is four licences.
func certain() map[string]string {
	return map[string]string{
		"mit": "MIT", "mit license": "MIT", "the mit license": "MIT", "expat": "MIT", "isc": "ISC", "isc license": "ISC",
		"apache-2.0": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
		"bsd-2-clause": "BSD-2-Clause", "bsd 2-clause": "BSD-2-Clause", "2-clause bsd": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause",
		"bsd-3-clause": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause",
		"gplv2 only": "GPL-2.0-only", "gpl-2.0-only": "GPL-2.0-only", "gplv2+": "GPL-2.0-or-later", "gpl v2+": "GPL-2.0-or-later",
		"gpl-2+": "GPL-2.0-or-later", "gpl-2.0+": "GPL-2.0-or-later", "gpl-2.0-or-later": "GPL-2.0-or-later", "gplv2 or later": "GPL-2.0-or-later",
		"gplv3 only": "GPL-3.0-only", "gpl-3.0-only": "GPL-3.0-only", "gplv3+": "GPL-3.0-or-later", "gpl v3+": "GPL-3.0-or-later",
		"gpl-3+": "GPL-3.0-or-later", "gpl-3.0+": "GPL-3.0-or-later", "gpl-3.0-or-later": "GPL-3.0-or-later", "gplv3 or later": "GPL-3.0-or-later",
		"lgplv2+": "LGPL-2.0-or-later", "lgplv2.1+": "LGPL-2.1-or-later", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-2.1-or-later": "LGPL-2.1-or-later",
		"lgplv3+": "LGPL-3.0-or-later", "lgpl-3.0-or-later": "LGPL-3.0-or-later", "lgpl-2.1-only": "LGPL-2.1-only", "lgpl-3.0-only": "LGPL-3.0-only",
		"mpl-1.1": "MPL-1.1", "mpl 1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "mpl 2.0": "MPL-2.0", "mozilla public license 2.0": "MPL-2.0",
		"artistic-2.0": "Artistic-2.0", "artistic 2.0": "Artistic-2.0", "zlib": "Zlib", "zlib license": "Zlib", "openssl": "OpenSSL", "openssl license": "OpenSSL",
		"ruby": "Ruby", "ruby license": "Ruby", "php-3.01": "PHP-3.01", "python-2.0": "Python-2.0", "unlicense": "Unlicense", "wtfpl": "WTFPL",
		"x11": "X11", "vim": "Vim", "cc0-1.0": "CC0-1.0", "bsl-1.0": "BSL-1.0", "boost software license 1.0": "BSL-1.0",
	}
}

// normal makes the words of a licence comparable.
func normal(words string) string {
	s := strings.ToLower(strings.Join(strings.Fields(words), " "))
	s = strings.NewReplacer(", version", " version", " licence", " license", "licences", "licenses").Replace(s)
	return strings.TrimSuffix(strings.TrimSuffix(s, "."), ",")
}

// identifier returns the SPDX licence of words, or "" if uncertain.
func identifier(words string) string { return certain()[normal(words)] }

// declared returns the expression for a licence in upstream's words. A licence that SPDX has no
// certain name for gets a reference, and the bill quotes the words once.
func declared(doc *spdx.Document, words string) string {
	if words == "" {
		return unknown
	}
	if id := identifier(words); id != "" {
		return id
	}
	ref := reference(words)
	if !slices.ContainsFunc(doc.OtherLicenses, func(l *spdx.OtherLicense) bool { return l.LicenseIdentifier == ref }) {
		doc.OtherLicenses = append(doc.OtherLicenses, &spdx.OtherLicense{
			LicenseIdentifier: ref, LicenseName: words, ExtractedText: fmt.Sprintf("Upstream says: %s", words),
		})
	}
	return ref
}

// reference is the name of a licence that SPDX has no name for, within one bill. The digest tells
// texts apart whose letters are the same.
func reference(words string) string {
	name := strings.Map(func(r rune) rune {
		if isAlphanumeric(r) || r == '-' || r == '.' {
			return r
		}
		return -1
	}, strings.Join(strings.Fields(words), "-"))
	name = strings.Trim(name, "-.")
	name = name[:min(len(name), 40)]
	sum := sha256.Sum256([]byte(words))
	return fmt.Sprintf("LicenseRef-%s-%x", name, sum[:4])
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
