/** A note may fill the index with so many different words; the rest of it is not found by them. */
const mostWords = 2_000;
const longestWord = 40;

const segmenter = new Intl.Segmenter("en", { granularity: "word" });

/** The different words of a text in a form in which they are compared: case and width of letters do not matter. */
export function wordsOf(text: string): readonly string[] {
  const words = new Set<string>();
  for (const { segment, isWordLike } of segmenter.segment(text.normalize("NFKC").toLowerCase())) {
    if (isWordLike !== true || segment.length > longestWord) continue;
    words.add(segment);
    if (words.size === mostWords) break;
  }
  return [...words];
}
