import { cyclesOf, dependenciesOf, quote } from "@stampyard/domain";
import { reservedComponentNames } from "./component-file.ts";
import { asMap, type Outline, type OutlineComponent, outlineOf, type TextField } from "./outline.ts";
import { type Finding, type Path, pathText } from "./problem.ts";
import { keyOffset, type Plain, placeKey, type ReadFile, valueOffset } from "./read-yaml.ts";
import { type Fault, referenceFault, type Scope } from "./references.ts";
import { didYouMean } from "./suggest.ts";
import { checkTables } from "./table-checks.ts";
import { parseText, splitCommand } from "./text.ts";
import { checkVerify } from "./verify-checks.ts";

const maxComponents = 200;
/** More are never shown, and looking for what each of them may have meant would take time. */
const enough = 200;

interface Check {
  readonly file: ReadFile;
  readonly text: string;
  readonly root: { readonly [key: string]: Plain };
  readonly outline: Outline;
  readonly byName: ReadonlyMap<string, OutlineComponent>;
  readonly findings: Finding[];
}

/** Everything about a template that needs more than one field to decide. */
export function checkTemplate(file: ReadFile, text: string): readonly Finding[] {
  const root = file.value ?? {};
  const outline = outlineOf(root);
  const byName = new Map([...outline.components].reverse().map((component) => [component.name, component]));
  const check: Check = { file, text, root, outline, byName, findings: [] };
  checkStages(check);
  if (outline.components.length > maxComponents) {
    const mend = "Split the application; a stamp of this size cannot start on one machine.";
    at(check, "key", ["components"], { message: `Template has more than ${maxComponents} components`, mend });
    return check.findings;
  }
  for (const component of outline.components) checkComponent(check, component);
  checkParameters(check);
  checkIngress(check);
  checkHooks(check);
  checkVerify(root, (where, path, fault) => at(check, where, path, fault));
  checkCycles(check);
  return check.findings;
}

function at(check: Check, where: "key" | "value", path: Path, fault: Fault): void {
  const offset = where === "key" ? keyOffset(check.file.places, path) : valueOffset(check.file.places, path);
  check.findings.push({ offset, path, ...fault });
}

function checkStages(check: Check): void {
  const { root, outline } = check;
  const both = root["components"] !== undefined && root["stages"] !== undefined;
  if (both) {
    const message = "Template has both components and stages";
    at(check, "key", ["components"], { message, mend: "Move the components into a stage, or remove stages." });
  }
  if (root["components"] === undefined && root["stages"] === undefined) {
    const mend = "Add components: with a map of names and components.";
    at(check, "key", ["components"], { message: "Missing field components", mend });
  } else if (outline.components.length === 0 && both === false) {
    const field = root["components"] === undefined ? "stages" : "components";
    at(check, "key", [field], { message: "Template has no component", mend: "Add at least the ingress service." });
  }
  const names = new Set<Plain | undefined>();
  for (const { name, path } of outline.stages) {
    if (typeof name === "string" && names.has(name)) {
      at(check, "value", [...path, "name"], {
        message: `Stage ${quote(name)} stands twice`,
        mend: "Give every stage its own name.",
      });
    }
    names.add(name);
  }
}

function checkComponent(check: Check, component: OutlineComponent): void {
  const { name, path, kind, raw } = component;
  if ((reservedComponentNames as readonly string[]).includes(name)) {
    const message = `Component name ${name} is reserved`;
    at(check, "key", path, { message, mend: `Choose another name; \${${name}.…} has a meaning of its own.` });
  }
  if (check.byName.get(name) !== component) {
    const message = `Component ${quote(name)} stands in two stages`;
    at(check, "key", path, { message, mend: "Give every component its own name." });
  }
  for (const field of component.texts) checkText(check, component, field);
  for (const after of component.after) checkAfter(check, component, after);
  if (kind === "service" || kind === "job") {
    if (raw["command"] === undefined && raw["image"] === undefined) {
      const mend = "Add command: with a program and its arguments, or image: for engines that run containers.";
      at(check, "key", path, { message: `Component ${quote(name)} has neither command nor image`, mend });
    }
    checkCommand(check, component);
    checkReservedEnv(check, component);
  }
  if (kind === "service" && raw["health"] !== undefined && !component.listens) {
    const message = `Service ${quote(name)} has a health path but no port`;
    at(check, "key", [...path, "health"], { message, mend: `Add port: auto to ${name}.` });
  }
  if (kind === "postgres")
    checkTables(check.root, component, (where, faultPath, fault) => at(check, where, faultPath, fault));
  if (kind === "external" && holdsPassword(String(raw["url"]))) {
    const message = `URL of ${quote(name)} holds a password`;
    at(check, "value", [...path, "url"], { message, mend: "Take it out, and name its place in secret: env:NAME." });
  }
}

/** Whether a URL's user part has a password (RFC 3986 section 3.2.1); without a pattern that could run long. */
function holdsPassword(url: string): boolean {
  const authority = url.slice(url.indexOf("//") + 2).split(/[/?#]/, 1)[0] ?? "";
  const user = authority.slice(0, Math.max(0, authority.lastIndexOf("@")));
  return user.includes(":");
}

function checkText(check: Check, component: OutlineComponent, field: TextField): void {
  const scan = parseText(field.source);
  if (scan.kind === "malformed") {
    const message = `Malformed reference in ${pathText(field.path)}`;
    const offset = offsetOfMalformed(check, field.path);
    const mend = "Write ${component.field}, or $${ for a literal ${.";
    check.findings.push({ offset, path: field.path, message, mend });
    return;
  }
  const scope: Scope = { components: check.byName, parameters: asMap(check.root["parameters"]) as Scope["parameters"] };
  const use = { component: component.name, kind: component.kind, listens: component.listens, stage: component.stage };
  // References stand in the source in the order of the value; the search goes on behind the last one found.
  let from = 0;
  for (const reference of scan.references) {
    const written = `\${${reference.of}.${reference.field}}`;
    const offset = offsetInside(check, field.path, written, from);
    if (offset !== undefined) from = offset + written.length;
    component.references.push(reference);
    if (check.findings.length > enough) continue;
    const fault = referenceFault(reference, { ...use, field: field.field }, scope);
    if (fault === undefined) continue;
    const start = offset ?? valueOffset(check.file.places, field.path);
    check.findings.push({ offset: start, path: field.path, ...fault });
  }
}

/** The first `${` that opens no reference. */
function offsetOfMalformed(check: Check, path: Path): number {
  const place = check.file.places.get(placeKey(path));
  const start = valueOffset(check.file.places, path);
  if (place === undefined) return start;
  const scan = parseText(check.text.slice(place.start, place.end));
  return scan.kind === "malformed" ? place.start + scan.index : start;
}

/** Offset of a piece of a scalar; undefined where escapes keep it from standing there literally. */
function offsetInside(check: Check, path: Path, piece: string, from: number): number | undefined {
  const place = check.file.places.get(placeKey(path));
  if (place === undefined) return undefined;
  const pattern = /\$\$\{|\$\{/g;
  pattern.lastIndex = Math.max(place.start, from);
  for (
    let match = pattern.exec(check.text);
    match !== null && match.index < place.end;
    match = pattern.exec(check.text)
  ) {
    if (match[0] === "${" && check.text.startsWith(piece, match.index)) return match.index;
  }
  return undefined;
}

function checkAfter(check: Check, component: OutlineComponent, after: OutlineComponent["after"][number]): void {
  const target = check.byName.get(after.name);
  if (check.findings.length > enough) return;
  if (target === undefined) {
    const names = [...check.byName.keys()].filter((name) => name !== component.name);
    const mend = didYouMean(after.name, names, "Name one of the components.");
    at(check, "value", after.path, { message: `Unknown component ${quote(after.name)} in after`, mend });
  } else if (target.stage > component.stage) {
    const message = `Component ${quote(after.name)} in after is of a later stage`;
    at(check, "value", after.path, { message, mend: "Only components of this stage or an earlier one can be ready." });
  } else if (check.outline.jobsOfHooks.has(after.name)) {
    const message = `Job ${quote(after.name)} in after runs for a hook only`;
    at(check, "value", after.path, { message, mend: "Use a job of its own that no hook names." });
  }
}

function checkCommand(check: Check, component: OutlineComponent): void {
  const command = component.raw["command"];
  const path = [...component.path, "command"];
  if (typeof command === "string") {
    const split = splitCommand(command);
    if (split.kind === "fault")
      at(check, "value", path, { message: `${split.message}: ${component.name}`, mend: split.mend });
  } else if (Array.isArray(command) && command[0] === "") {
    at(check, "value", [...path, 0], { message: `Command is empty: ${component.name}`, mend: "Name a program first." });
  }
}

function checkReservedEnv(check: Check, component: OutlineComponent): void {
  for (const name of Object.keys(asMap(component.raw["env"]))) {
    const taken = name.startsWith("STAMPYARD_") || (name === "PORT" && component.listens);
    if (!taken) continue;
    const mend = name === "PORT" ? "Remove it; read PORT, which is always set." : "Choose a name without STAMPYARD_.";
    at(check, "key", [...component.path, "env", name], {
      message: `Environment name ${name} is Stampyard's own`,
      mend,
    });
  }
}

function checkParameters(check: Check): void {
  for (const [name, raw] of Object.entries(asMap(check.root["parameters"]))) {
    const { type, default: value } = asMap(raw);
    const scalar = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (!scalar || (type !== "string" && type !== "number" && type !== "boolean") || typeof value === type) continue;
    const message = `Default of parameter ${name} is a ${typeof value}, not a ${type}`;
    const mend = type === "string" ? "Put it in quotes." : `Write a ${type}, without quotes.`;
    at(check, "value", ["parameters", name, "default"], { message, mend });
  }
}

function checkIngress(check: Check): void {
  const path = ["ingress", "service"];
  const service = asMap(check.root["ingress"])["service"];
  if (typeof service === "string") checkService(check, service, path, "Ingress");
}

/** A service that others call must exist and listen. */
function checkService(check: Check, name: string, path: Path, who: string): void {
  const target = check.byName.get(name);
  const kinds = check.outline.components.filter((component) => component.kind === "service");
  if (target === undefined) {
    const mend = didYouMean(
      name,
      kinds.map((component) => component.name),
      "Name one of the services.",
    );
    at(check, "value", path, { message: `${who} names unknown service ${quote(name)}`, mend });
  } else if (target.kind !== undefined && target.kind !== "service") {
    const message = `${who} names ${name}, which is a ${target.kind}`;
    at(check, "value", path, { message, mend: "Name a service with port: auto." });
  } else if (target.kind === "service" && !target.listens) {
    at(check, "value", path, { message: `${who} service ${name} does not listen`, mend: `Add port: auto to ${name}.` });
  }
}

function checkHooks(check: Check): void {
  for (const [name, raw] of Object.entries(asMap(check.root["hooks"]))) {
    const { service, path, job } = asMap(raw);
    const here = ["hooks", name];
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) continue;
    if (check.findings.length > enough) return;
    const message = `Hook ${name} needs either service and path, or job`;
    if ((job === undefined) === (service === undefined) || (job !== undefined && path !== undefined)) {
      at(check, "key", here, { message, mend: "Keep one of the two." });
    } else if (service !== undefined && path === undefined) {
      at(check, "key", here, { message, mend: "Add path: such as /hooks/tenant-created." });
    }
    if (typeof service === "string") checkHookService(check, service, [...here, "service"], name);
    if (typeof job === "string") checkHookJob(check, job, [...here, "job"], name);
  }
}

/** The control plane knows where the ingress service answers, and of no other one (decision D7 signs hooks for it). */
function checkHookService(check: Check, service: string, path: Path, hook: string): void {
  const before = check.findings.length;
  checkService(check, service, path, `Hook ${hook}`);
  const ingress = asMap(check.root["ingress"])["service"];
  if (check.findings.length > before || typeof ingress !== "string" || service === ingress) return;
  const message = `Hook ${hook} names service ${service}, and only the ingress service ${ingress} can be called`;
  at(check, "value", path, { message, mend: `Name ${ingress}, or use job: with a job that does the work.` });
}

function checkHookJob(check: Check, job: string, path: Path, hook: string): void {
  const target = check.byName.get(job);
  if (target === undefined) {
    const jobs = check.outline.components.filter((component) => component.kind === "job");
    const mend = didYouMean(
      job,
      jobs.map((component) => component.name),
      "Name one of the jobs.",
    );
    at(check, "value", path, { message: `Hook ${hook} names unknown job ${quote(job)}`, mend });
  } else if (target.kind !== undefined && target.kind !== "job") {
    at(check, "value", path, { message: `Hook ${hook} names ${job}, which is a ${target.kind}`, mend: "Name a job." });
  }
}

function checkCycles(check: Check): void {
  const nodes = [...check.byName.values()].map(({ name, kind, references, after }) => {
    const onlyHook = check.outline.jobsOfHooks.has(name);
    return { name, kind, references, after: after.map((entry) => entry.name), onlyHook };
  });
  const inFileOrder = nodes.reverse();
  for (const cycle of cyclesOf(dependenciesOf(inFileOrder))) {
    const first = check.byName.get(cycle[0] ?? "");
    const message = `Components wait in a circle: ${cycle.join(" → ")}`;
    const self = cycle.length === 2 ? "Use ${self.port} for a service's own port." : "Remove one reference or after.";
    at(check, "key", first?.path ?? [], { message, mend: self });
  }
}
