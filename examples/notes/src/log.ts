/** One JSON object per line on stdout. Never given request bodies, URLs with passwords, or headers. */
export type Log = (event: string, fields?: Readonly<Record<string, string | number | boolean>>) => void;

export function openLog(service: string): Log {
  return (event, fields = {}) => {
    console.log(JSON.stringify({ at: new Date().toISOString(), service, event, ...fields }));
  };
}

/** The message of whatever was thrown; driver errors may have an empty one and only a code. */
export function reasonOf(caught: unknown): string {
  if (!(caught instanceof Error)) return "unknown failure";
  const code = "code" in caught && typeof caught.code === "string" ? caught.code : caught.name;
  return caught.message === "" ? code : caught.message;
}
