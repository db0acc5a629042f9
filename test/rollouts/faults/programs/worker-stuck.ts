/** A worker that lives and does nothing: jobs pile up, and no request fails. */
setInterval(() => {}, 60_000);
process.on("SIGTERM", () => process.exit(0));
