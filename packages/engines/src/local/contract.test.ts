import { describeStampEngine } from "@stampyard/testing";
import { openTestEngine } from "./test-engine.ts";

describeStampEngine("local", () => openTestEngine());
