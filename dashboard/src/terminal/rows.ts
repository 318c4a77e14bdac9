/** How much of an output a terminal can hold before its beginning is lost: each byte is taken for a column. */
export class RowCount {
  private rows = 0;
  private column = 0;

  constructor(
    private readonly columns: number,
    private readonly most: number,
  ) {}

  get isFull(): boolean {
    return this.rows >= this.most;
  }

  /** The number of bytes of `data` that still have room. */
  take(data: Uint8Array): number {
    for (let at = 0; at < data.length; at += 1) {
      if (this.isFull) return at;
      if (data[at] === 0x0a) this.next(0);
      else if (this.column >= this.columns) this.next(1);
      else this.column += 1;
    }
    return data.length;
  }

  private next(column: number): void {
    this.rows += 1;
    this.column = column;
  }
}
