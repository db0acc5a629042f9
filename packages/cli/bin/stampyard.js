#!/usr/bin/env node
// Plain JavaScript on purpose: it must run, and speak clearly, on a Node that is too old for everything else.
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(`error: Stampyard needs Node 24 or newer, and this is ${process.versions.node}
  try: In a checkout, run \`npm run stampyard -- …\`, which uses the Node 24 that npm brought; elsewhere install Node 24`);
  process.exit(1);
}
await import("../dist/main.js");
