/** Calls back at the next animation frame, or soon where none comes (a hidden tab); the answer takes it back. */
export type Soon = (act: () => void) => () => void;

const HIDDEN_MS = 250;

export const soonOfBrowser: Soon = (act) => {
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const cancel = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  const once = () => {
    cancel();
    act();
  };
  frame = requestAnimationFrame(once);
  timer = setTimeout(once, HIDDEN_MS);
  return cancel;
};
