/** A typed line as an argument vector: quotes and backslashes as in a shell, and nothing else of a shell. */
export function splitLine(line: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < line.length; at += 1) {
    const one = line[at]!;
    if (quote !== '') {
      if (one === quote) quote = '';
      else if (one === '\\' && quote === '"' && '"\\'.includes(line[at + 1] ?? ' ')) word += line[++at]!;
      else word += one;
    } else if (one === "'" || one === '"') {
      quote = one;
      word ??= '';
    } else if (one === '\\' && at + 1 < line.length) word = (word ?? '') + line[++at]!;
    else if (/\s/.test(one)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + one;
  }
  if (quote !== '') return null;
  if (word !== null) words.push(word);
  return words;
}
