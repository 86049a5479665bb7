// Reads CSV as RFC 4180 has it: quotes, doubled quotes, line breaks inside quotes.

/** The first `most` rows as lists of cells. The delimiter is the commonest of , ; tab | in the first line. */
export function parseCsv(text, most) {
  const source = text.replace(/^\uFEFF/, "");
  const delimiter = guess(source);
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  for (let at = 0; at < source.length && rows.length < most; at += 1) {
    const char = source[at];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (source[at + 1] === '"') cell += source[(at += 1)];
      else quoted = false;
    } else if (char === '"' && cell === "") quoted = true;
    else if (char === delimiter) endCell();
    else if (char === "\n") endRow();
    else if (char !== "\r") cell += char;
  }
  if (rows.length < most && (cell || row.length)) endRow();
  return rows;
}

function guess(source) {
  const line = source.slice(0, source.indexOf("\n") + 1 || undefined);
  return [",", ";", "\t", "|"].reduce((best, one) => (line.split(one).length > line.split(best).length ? one : best));
}
