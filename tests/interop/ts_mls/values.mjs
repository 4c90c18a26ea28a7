// Values of the line protocol as ts-mls has them, and back.

import { ciphersuites, credentialTypes, defaultCapabilities, defaultExtensionTypes, defaultLifetime } from "ts-mls"
import { decodeMlsMessage, encodeMlsMessage } from "ts-mls"
import { encode } from "ts-mls/codec/tlsEncoder.js"
import { varLenDataEncoder } from "ts-mls/codec/variableLength.js"

const nameOf = (table, number) => Object.keys(table).find((name) => table[name] === number)

export const hex = (bytes) => Buffer.from(bytes).toString("hex")
export const bytes = (text) => new Uint8Array(Buffer.from(text ?? "", "hex"))
export const withLength = (data) => encode(varLenDataEncoder)(data)

export function suiteName(number) {
  const name = nameOf(ciphersuites, number)
  if (name === undefined) throw new Error(`no cipher suite ${number}`)
  return name
}

export const suiteNumber = (name) => ciphersuites[name]

export const encodeMessage = (wireformat, field, body) =>
  hex(encodeMlsMessage({ version: "mls10", wireformat, [field]: body }))

export function decodeMessage(text, ...wireformats) {
  const decoded = decodeMlsMessage(bytes(text), 0)
  if (decoded === undefined || !wireformats.includes(decoded[0].wireformat))
    throw new Error(`not an MLSMessage of type ${wireformats.join(" or ")}`)
  return decoded[0]
}

export const extensions = (list) =>
  (list ?? []).map(({ type, data }) => ({
    extensionType: nameOf(defaultExtensionTypes, type) ?? type,
    extensionData: bytes(data),
  }))

export const listExtensions = (list) =>
  list.map(({ extensionType, extensionData }) => ({
    type: defaultExtensionTypes[extensionType] ?? extensionType,
    data: hex(extensionData),
  }))

export const credential = ({ identity, identity_hex }) => ({
  credentialType: "basic",
  identity: identity_hex === undefined ? new TextEncoder().encode(identity) : bytes(identity_hex),
})

// What ts-mls lists by default, GREASE included, where the request says nothing.
export function capabilities(request) {
  const defaults = defaultCapabilities()
  return {
    ...defaults,
    ciphersuites: request.cap_suites?.map((n) => nameOf(ciphersuites, n) ?? `${n}`) ?? defaults.ciphersuites,
    extensions: request.cap_extensions ?? defaults.extensions,
    proposals: request.cap_proposals ?? defaults.proposals,
    credentials: request.cap_credentials?.map((n) => nameOf(credentialTypes, n) ?? `${n}`) ?? defaults.credentials,
  }
}

// Null is what ts-mls writes by default: no limit at all.
export function lifetime(seconds = 90 * 86400) {
  if (seconds === null) return defaultLifetime
  const now = Math.floor(Date.now() / 1000)
  return { notBefore: BigInt(now - 3600), notAfter: BigInt(now + seconds) }
}
