// ts-mls (TypeScript) as one of the libraries that are compared; see lines.py for the conversation.

import { createInterface } from "node:readline"
import {
  createApplicationMessage,
  createCommit,
  createGroup,
  defaultCapabilities,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  decodeMlsMessage,
  joinGroup,
  mlsExporter,
  processPrivateMessage,
  processPublicMessage,
} from "ts-mls"

const cs = await getCiphersuiteImpl(getCiphersuiteFromName("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"))
const hex = (bytes) => Buffer.from(bytes).toString("hex")
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"))
const decode = (data) => decodeMlsMessage(data, 0)[0]
const encode = (wireformat, field, body) => encodeMlsMessage({ version: "mls10", wireformat, [field]: body })

let newcomer

async function client(name) {
  const now = BigInt(Math.floor(Date.now() / 1000))
  const lifetime = { notBefore: now - 3600n, notAfter: now + 30n * 86400n }
  const credential = { credentialType: "basic", identity: new TextEncoder().encode(name) }
  return generateKeyPackage(credential, defaultCapabilities(), lifetime, [], cs)
}

async function timed(operation) {
  const began = process.cpuUsage()
  const result = await operation()
  const { user, system } = process.cpuUsage(began)
  return [result, (user + system) / 1000]
}

async function least(times, operation) {
  let [result, milliseconds] = await timed(operation)
  for (let i = 1; i < times; i++) {
    const again = await timed(operation)
    if (again[1] < milliseconds) [result, milliseconds] = again
  }
  return [result, milliseconds]
}

async function medianOf(operation, times) {
  const taken = []
  for (let i = 0; i < times; i++) taken.push((await timed(operation))[1])
  return taken.sort((a, b) => a - b)[times >> 1]
}

async function commit(state, adding = []) {
  const extraProposals = adding.map((data) => ({ proposalType: "add", add: { keyPackage: decode(data).keyPackage } }))
  const context = { state, pskIndex: emptyPskIndex, cipherSuite: cs }
  const made = await createCommit(context, { wireAsPublicMessage: true, extraProposals, ratchetTreeExtension: true })
  encode("mls_public_message", "publicMessage", made.commit.publicMessage)
  if (made.welcome) encode("mls_welcome", "welcome", made.welcome)
  return made.newState
}

const join = (data) =>
  joinGroup(decode(data).welcome, newcomer.publicPackage, newcomer.privatePackage, emptyPskIndex, cs)

const exported = (state, label) =>
  mlsExporter(state.keySchedule.exporterSecret, label, new Uint8Array(), 32, cs)

const commands = {
  key_package: async () => {
    newcomer = await client("newcomer")
    return { key_package: hex(encode("mls_key_package", "keyPackage", newcomer.publicPackage)) }
  },

  found: async (request) => {
    const founder = await client("founder")
    const groupId = crypto.getRandomValues(new Uint8Array(16))
    const packages = request.key_packages.map(bytes)
    const state = await createGroup(groupId, founder.publicPackage, founder.privatePackage, [], cs)
    const [next, add] = await least(request.times, () => commit(state, packages))
    const [, update] = await least(request.times, () => commit(next))
    return { add, update }
  },

  join: async (request) => {
    const welcome = bytes(request.welcome)
    const texts = request.texts.map(bytes)
    let [state, joinTime] = await least(request.times, () => join(welcome))
    const found = { join: joinTime }
    found.export = await medianOf(() => exported(state, "label"), 50)
    found.encrypt = await medianOf(async () => {
      const made = await createApplicationMessage(state, new Uint8Array(1024), cs)
      encode("mls_private_message", "privateMessage", made.privateMessage)
      state = made.newState
    }, 20)
    found.decrypt = await medianOf(async () => {
      const { privateMessage } = decode(texts.shift())
      state = (await processPrivateMessage(state, privateMessage, emptyPskIndex, cs)).newState
    }, request.texts.length)
    if (request.warm) {
      found.update = (await least(request.times, () => commit(state)))[1]
      const one = bytes(request.key_package)
      found.add = (await least(request.times, () => commit(state, [one])))[1]
    }
    const data = bytes(request.commit)
    const [done, processTime] = await least(request.times, () =>
      processPublicMessage(state, decode(data).publicMessage, emptyPskIndex, cs),
    )
    return { ...found, process: processTime, export_after: hex(await exported(done.newState, "after")) }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  const answer = await commands[request.cmd](request).catch((error) => ({ error: `${error.name}: ${error.message}` }))
  console.log(JSON.stringify(answer))
}
