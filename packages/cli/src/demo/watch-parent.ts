/**
 * `npm run` starts us through a shell that does not pass a SIGTERM on: when npm is ended, we would stay with a whole
 * fleet behind us. So the end of whoever started us ends us, too.
 */
export function watchParent(onGone: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, 250);
  timer.unref();
}
