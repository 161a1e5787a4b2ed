package keepalived

import "strings"

// statement is a keyword with its values, and a body when it is a block.
type statement struct {
	words []string
	body  []statement
	block bool
	at    Place
}

func (s statement) keyword() string { return s.words[0] }

// word is the i-th value after the keyword; "" when it isn't there.
func (s statement) word(i int) string {
	if i+1 < len(s.words) {
		return s.words[i+1]
	}
	return ""
}

// maxNesting is deeper than any block of keepalived's; parse is recursive.
const maxNesting = 32

// parser turns lines into statements.
type parser struct {
	tokens []token
	next   int
	log    *journal
}

type token struct {
	text   string
	at     Place
	number int  // of the line: tokens of one statement stand on one line
	quoted bool // so that "{" is a word
}

func (t token) is(brace string) bool { return t.text == brace && !t.quoted }

func parse(lines []line, log *journal) []statement {
	p := &parser{log: log}
	for i, l := range lines {
		for _, t := range split(l.text) {
			t.at, t.number = l.at, i
			p.tokens = append(p.tokens, t)
		}
	}
	var all []statement
	for p.next < len(p.tokens) {
		all = append(all, p.statements(0)...)
		if p.next < len(p.tokens) { // a } that closes nothing
			p.log.add(p.tokens[p.next].at, Dropped, "}", "closes no block; keepalived may read this file differently")
			p.next++
		}
	}
	return all
}

// statements reads up to the } that ends the block.
func (p *parser) statements(depth int) []statement {
	var out []statement
	for p.next < len(p.tokens) && !p.tokens[p.next].is("}") {
		t := p.tokens[p.next]
		if t.is("{") {
			p.next++
			body := p.body(t, depth)
			if n := len(out); n > 0 && !out[n-1].block { // the brace of the line before
				out[n-1].body, out[n-1].block = body, true
			} else {
				p.log.add(t.at, Dropped, "{", "opens a block without a keyword, which is left out")
			}
			continue
		}
		s := statement{at: t.at}
		for p.next < len(p.tokens) && p.tokens[p.next].number == t.number && !p.tokens[p.next].is("{") && !p.tokens[p.next].is("}") {
			s.words = append(s.words, p.tokens[p.next].text)
			p.next++
		}
		if p.next < len(p.tokens) && p.tokens[p.next].is("{") {
			open := p.tokens[p.next]
			p.next++
			s.body, s.block = p.body(open, depth), true
		}
		out = append(out, s)
	}
	return out
}

// body reads what follows a {, and the } with it.
func (p *parser) body(open token, depth int) []statement {
	if depth >= maxNesting {
		p.log.add(open.at, Dropped, "{", "blocks stand in blocks too deep; the rest of the file is left out")
		p.next = len(p.tokens)
		return nil
	}
	body := p.statements(depth + 1)
	if p.next >= len(p.tokens) {
		p.log.add(open.at, Changed, "{", "the block is never closed; it is taken to end with the file")
		return body
	}
	p.next++
	return body
}

// split cuts a line into words. Quotes join words and go away; an escape is the character itself.
func split(s string) []token {
	var out []token
	var word strings.Builder
	var quote byte
	open, quoted := false, false
	flush := func() {
		if open {
			out = append(out, token{text: word.String(), quoted: quoted})
		}
		word.Reset()
		open, quoted = false, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			open, quoted = true, true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '"' || c == '\'':
			quote, open, quoted = c, true, true
		case c == ' ' || c == '\t':
			flush()
		case c == '{' && i > 0 && s[i-1] == '$': // a macro that nobody defined
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				end = len(s) - i - 1
			}
			word.WriteString(s[i : i+end+1])
			i += end
		case c == '{' || c == '}':
			flush()
			out = append(out, token{text: string(c)})
		default:
			word.WriteByte(c)
			open = true
		}
	}
	flush()
	return out
}
