/**
 * The YAML parser's codes in our words. Its own messages may quote the text, and with it a secret; these never do.
 */
const words: Readonly<Record<string, readonly [message: string, mend: string]>> = {
  BAD_ALIAS: ["Malformed alias", "Quote the text if it should start with * or &."],
  ALIAS_PROPS: ["Alias is not allowed", "Write the value out instead of *alias."],
  BAD_DIRECTIVE: ["YAML directives are not allowed", "Remove the line that starts with %."],
  BAD_DQ_ESCAPE: ["Unknown escape in a double-quoted text", "Write \\\\ for a backslash, or use single quotes."],
  BAD_INDENT: ["Wrong indentation or an unclosed bracket", "Indent with two spaces per level and close brackets."],
  BAD_PROP_ORDER: ["Anchor or tag in the wrong place", "Remove it; neither is allowed."],
  BAD_SCALAR_START: ["Text starts with a reserved character", "Put the text in quotes."],
  BLOCK_AS_IMPLICIT_KEY: ["Two colons on one line", "Put the text after the first colon in quotes."],
  BLOCK_IN_FLOW: ["Indented block inside brackets", "Close the bracket first, or write everything inside it."],
  KEY_OVER_1024_CHARS: ["Field name is longer than 1,024 characters", "Check for a missing line break or quote."],
  MISSING_CHAR: ["Missing character, such as a quote, bracket, colon or space", "Close what was opened before here."],
  MULTILINE_IMPLICIT_KEY: ["Field name spans lines", "Check for a missing colon on the line before."],
  MULTIPLE_ANCHORS: ["Anchor is not allowed", "Remove the &anchor."],
  MULTIPLE_DOCS: ["File holds several documents", "Keep one document per file."],
  MULTIPLE_TAGS: ["Tag is not allowed", "Remove the !tag."],
  RESOURCE_EXHAUSTION: ["Nesting is too deep", "Flatten the file."],
  TAB_AS_INDENT: ["Tab used as indentation", "Indent with spaces."],
};

export function syntaxMessage(code: string): { readonly message: string; readonly mend: string } {
  const [message, mend] = words[code] ?? [
    "Unexpected text at this place",
    "Check quotes, colons and indentation around it.",
  ];
  return { message, mend };
}
