//! As much of Rust's grammar as it takes to tell code from comments, strings and tests.

/// `source` with every comment, string and character literal blanked out: same length in lines, same columns.
pub(crate) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_literal(&chars, at).max(at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// [`code_only`], with the items under `#[cfg(test)]` blanked out too.
pub(crate) fn shipped_code(source: &str) -> String {
    let mut code = code_only(source);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = end_of_item(&code, start);
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    code
}

/// The byte after the item that starts at `start`: after its first `;`, or after the brace that closes its first `{`.
pub(crate) fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (offset, byte) in code[start..].bytes().enumerate() {
        match byte {
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets = brackets.saturating_sub(1),
            b'{' => depth += 1,
            b'}' if depth <= 1 => return start + offset + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 && brackets == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Where `word` stands in `code` as a word of its own: the line (from 1) of each.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let found = code.match_indices(word).filter(|(at, _)| {
        let before = code[..*at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        let is_longer_word = before && word.starts_with(is_word) || after && word.ends_with(is_word);
        !is_longer_word
    });
    found.map(|(at, _)| line_of(code, at)).collect()
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the comment or literal that starts at `at`, or `at` if none does.
fn end_of_literal(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => position(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => end_of_block_comment(chars, at),
        '"' => end_of_quoted(chars, at + 1, '"'),
        'r' if !follows_word(chars, at) || after_byte_prefix(chars, at) => end_of_raw_string(chars, at),
        '\'' if next == Some('\\') || chars.get(at + 2) == Some(&'\'') => end_of_quoted(chars, at + 1, '\''),
        _ => at,
    }
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

/// Whether the `r` at `at` is that of `br"` or `cr"`.
fn after_byte_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && !(at > 1 && is_word(chars[at - 2]))
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn end_of_quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn end_of_raw_string(chars: &[char], start: usize) -> usize {
    let quote = position(chars, start + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let hashes = quote - start - 1;
    let closes = |at: usize| {
        chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (quote + 1..chars.len()).find(|at| closes(*at)).map_or(chars.len(), |at| at + 1 + hashes)
}

fn position(chars: &[char], start: usize, wanted: impl Fn(char) -> bool) -> usize {
    (start..chars.len()).find(|at| wanted(chars[*at])).unwrap_or(chars.len())
}

#[test]
fn literals_and_comments_are_not_code() {
    let source = "let a = \"x::y\\\" z\"; // std::net\nlet b = r#\"tok\"io\"#; /* a /* b */ c */ let 'a = b'\"';\nlet br = br\"q\";";
    let code = code_only(source);
    for word in ["x::y", "std::net", "tok", "io", " c ", "q"] {
        assert!(!code.contains(word), "{word:?} in {code:?}");
    }
    assert_eq!(code.len(), source.len());
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>().join(" "),
        "let a = ; let b = ; let 'a = b ; let br = b ;"
    );
}

#[test]
fn code_under_cfg_test_is_not_shipped() {
    let code = shipped_code(
        "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { c() }\n}\n#[cfg(test)]\nmod t;\nfn d() {}\n",
    );
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["fn", "a()", "{}", "fn", "d()", "{}"]);
    assert_eq!(lines_with(&code, "fn"), [1, 8]);
}

#[test]
fn a_word_is_found_as_a_whole_word_only() {
    assert_eq!(lines_with("random rand::x\nbrand rand", "rand"), [1, 2]);
    assert_eq!(lines_with("x.await\n.awaiting", ".await"), [1]);
}
