package lint

// Rule describes one thing that [Check] looks for.
type Rule struct{ ID, About string }

// Rules lists everything that [Check] can find, in the order of the help text.
func Rules() []Rule {
	return []Rule{
		{"refused", "the client would refuse the whole extension: unsafe names, links that leave it, special files, damage, limits"},
		{"wrapped", "bin, lib and facts.d lie in a directory of the archive instead of at its top"},
		{"unused", "there is none of bin, lib and facts.d"},
		{"empty", "there is nothing in it"},
		{"misspelt", "a directory that looks like bin, lib or facts.d, but is called otherwise"},
		{"inert", "files that look as if they could set environment variables"},
		{"no-modes", "the archive was made on a system without Unix modes"},
		{"setuid", "setuid and setgid bits"},
		{"world-writable", "files that everybody may write to"},
		{"dangling-link", "symlinks to nothing"},
		{"leftover", "traces of version control and file managers"},
		{"backup", "copies that editors leave behind"},
		{"size", "much memory"},
		{"bin-not-executable", "files in bin that cannot be run"},
		{"bin-subdirectory", "programs below a directory of bin"},
		{"shadows", "programs, libraries and Ruby files that hide those which Facter needs"},
		{"fact-subdirectory", "files below a directory of facts.d"},
		{"fact-dotfile", "files in facts.d that begin with a dot"},
		{"fact-yml", "facts.d/*.yml"},
		{"fact-windows", "facts.d/*.exe, .bat, .cmd, .com"},
		{"fact-not-executable", "programs in facts.d that cannot be run"},
		{"fact-ignored", "files in facts.d that are none of Facter's kinds"},
		{"fact-data-script", "scripts called .txt, .yaml or .json"},
		{"fact-data-executable", "executable .txt, .yaml and .json files"},
		{"fact-syntax", "YAML and JSON that does not parse or is no mapping"},
		{"fact-comment", `comments with a "=" in .txt files: they are facts`},
		{"fact-line", "lines of .txt files that are ignored"},
		{"fact-blanks", "blanks around the = in .txt files"},
		{"fact-name", "upper case and blanks in names"},
		{"identity", "facts that Razor tells machines apart by: macaddress*, serialnumber, uuid"},
		{"dropped", "names on Razor's default blacklist"},
		{"fact-twice", "a name in two files"},
		{"encoding", "byte order marks, UTF-16, and external facts that are not UTF-8"},
		{"crlf", "scripts with Windows line ends"},
		{"no-shebang", "executable text without a #! line"},
		{"interpreter", "interpreters that the image does not have"},
		{"elf-damaged", "broken ELF files"},
		{"elf-arch", "ELF files for another architecture"},
		{"elf-loader", "programs of another C library"},
		{"elf-library", "shared libraries that are nowhere"},
		{"elf-version", "a newer C library than the image's (with --image)"},
	}
}
