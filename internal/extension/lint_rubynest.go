package extension

import (
	"regexp"
	"strings"
)

// rubyNest follows the blocks of a Ruby program, as far as needed to know which statements run
// while the file is loaded, and which only later or under a rescue.
type rubyNest struct {
	stack   []bool // for each open block: what is in it does not run at load, or is rescued
	wasSafe bool   // such a block was open somewhere on the line fed last
}

var (
	rubyWord = regexp.MustCompile(`[.:@$]?[A-Za-z_]\w*[?!:]?|->|[{};(=|&]|\S`)
	lateWord = regexp.MustCompile(`(?:\b(?:setcode|lambda|proc|define_method|confine|on_flush|at_exit|chunk|aggregate)\b|\bProc\.new\b|\bThread\.new\b|->)[^{]*$`)
)

// inSafe reports whether an open block keeps its statements from running at load.
func (n *rubyNest) inSafe() bool {
	for _, safe := range n.stack {
		if safe {
			return true
		}
	}
	return false
}

func (n *rubyNest) push(safe bool) {
	n.stack = append(n.stack, safe)
	n.wasSafe = n.wasSafe || safe
}

func (n *rubyNest) pop() {
	if len(n.stack) > 0 {
		n.stack = n.stack[:len(n.stack)-1]
	}
}

// feed takes one line without strings and comments.
func (n *rubyNest) feed(line string) {
	n.wasSafe = false
	previous, loop := "", false
	for _, at := range rubyWord.FindAllStringIndex(line, -1) {
		word := line[at[0]:at[1]]
		switch word {
		case "def", "begin":
			n.push(true)
		case "class", "module", "case":
			n.push(false)
		case "if", "unless", "while", "until", "for":
			if statementStart(previous) {
				n.push(false)
				loop = loop || word == "while" || word == "until" || word == "for"
			}
		case "do":
			if !loop {
				n.push(lateWord.MatchString(line[:at[0]]))
			}
			loop = false
		case "{":
			n.push(lateWord.MatchString(line[:at[0]]))
		case "end", "}":
			n.pop()
		}
		previous = word
	}
}

// statementStart reports whether `if` after this word begins a statement and modifies none.
func statementStart(previous string) bool {
	return previous == "" || strings.Contains(" = ( ; | & { else then do || && and or not begin ensure ", " "+previous+" ")
}
