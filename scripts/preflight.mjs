// Plain JavaScript on purpose: it must run, and speak clearly, on a Node that is too old for everything else.
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(`Stampyard needs Node 24 or newer to run, and this is ${process.versions.node}.
On Linux and Windows \`npm ci\` brings Node 24 by itself: run things through \`npm run …\` so that it is used.
On a Mac install it once: brew install node@24`);
  process.exit(1);
}
