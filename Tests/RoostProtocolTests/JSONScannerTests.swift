import NIOCore
import RoostModel
import Testing

@testable import RoostProtocol

@Suite("JSON")
struct JSONScannerTests {
    private func check(_ text: [UInt8]) -> Result<JSONValue, JSONError> {
        text.withUnsafeBytes { bytes in Result { () throws(JSONError) in try JSONScanner.check(bytes) } }
    }
    private func accepts(_ text: String) -> Bool { (try? check(Array(text.utf8)).get()) != nil }

    @Test(
        "Good texts",
        arguments: [
            "{}", "[]", "0", "-0", "1.5", "-1.5e+10", "1E-5", "123456789012345678901234567890.5e999999", "true",
            "false",
            "null", "\"\"", " \t\r\n{ } \t\r\n", "[1,[2,{\"a\":[]}],\"x\"]", #""\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00""#,
            "\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\"", #"{"":0}"#, #"{"a":1,"a":2}"#,
            String(repeating: "[", count: 64) + String(repeating: "]", count: 64),
        ])
    func good(text: String) { #expect(accepts(text)) }

    @Test(
        "Bad texts",
        arguments: [
            "", " ", "\u{feff}{}", "{", "}", "[", "{]", "[1,]", "[,1]", "[1 2]", "{,}", "{\"a\"}", "{\"a\":}",
            "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:1}", "{'a':1}", "{}{}", "{} x", "nul", "nulll", "True", "tru",
            "NaN", "Infinity", "-Infinity", "01", "-01", "00", "+1", "-", ".5", "1.", "1.e5", "1e", "1e+", "0x10",
            "1_0",
            "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\uD800\"", "\"\\uDC00\"",
            "\"\\uD800x\"", "\"\\uD800\\n\"", "\"\\uD800\\u0041\"", "\"\\uD800\\uD800\"", "\"\n\"", "\"\t\"",
            "\"\u{0}\"", "// x\n{}", "/**/{}", "\u{a0}{}", "[\"a\"\u{0}]",
            String(repeating: "[", count: 65) + String(repeating: "]", count: 65),
            String(repeating: "{\"a\":", count: 65) + "1" + String(repeating: "}", count: 65),
            String(repeating: "[", count: 100_000),
        ])
    func bad(text: String) { #expect(!accepts(text)) }

    @Test("Bytes that are not UTF-8 are refused")
    func notUTF8() {
        let sequences: [[UInt8]] = [
            [0x80], [0xbf], [0xc0, 0x80], [0xc1, 0xbf], [0xc2], [0xc2, 0x41], [0xe0, 0x9f, 0x80], [0xe1, 0x80],
            [0xed, 0xa0, 0x80], [0xef, 0xbf], [0xf0, 0x8f, 0x80, 0x80], [0xf4, 0x90, 0x80, 0x80],
            [0xf5, 0x80, 0x80, 0x80], [0xff], [0xe2, 0x82, 0x41], [0xf0, 0x9f, 0x98, 0x41],
        ]
        for sequence in sequences {
            #expect(throws: JSONError.self) { try check([0x22] + sequence + [0x22]).get() }
            #expect(throws: JSONError.self) { try check([0x22] + sequence).get() }
            #expect(throws: JSONError.self) { try check(sequence).get() }
        }
    }

    @Test("The range of a value leaves out the white space around it")
    func ranges() throws {
        let value = try check(Array("  [1, 2]\n".utf8)).get()
        #expect(value.kind == .array)
        #expect(value.range == 2..<8)
    }

    @Test("Our scanner accepts no more than what the grammar makes: 30,000 seeded mutations do not crash it")
    func mutations() {
        var values = RandomValues(seed: 31)
        let text = Array(#"{"op":"send","id":"é😀\u00e9\ud83d\ude00","n":-12.5e+7,"c":[true,false,null,{"x":[]}]}"#.utf8)
        let interesting = Array("{}[]\",:\\u0dD8eE+-.\n \u{0}".utf8) + [0x80, 0xc3, 0xed, 0xf4, 0xff]
        var accepted = 0
        for _ in 0..<30_000 {
            var changed = text
            for _ in 0...values.below(3) {
                changed[values.below(changed.count)] = interesting[values.below(interesting.count)]
            }
            if values.below(3) == 0 { changed.removeLast(values.below(changed.count + 1)) }
            if case .success(let value) = check(changed) {
                accepted += 1
                #expect(value.range.upperBound <= changed.count)
            }
        }
        #expect((1..<15_000).contains(accepted))
    }

    @Test("Strings are written so that they are read as they were")
    func strings() throws {
        var values = RandomValues(seed: 32)
        let fixed = ["", "\"", "\\", "/", "\u{8}\u{c}\n\r\t", "\u{0}\u{1}\u{1f}\u{7f}", "ü€😀\u{2028}", "</script>"]
        for text in fixed + (0..<200).map({ _ in values.text() }) {
            let json = encoded { buffer in
                buffer.writeString("{\"n\":")
                buffer.writeJSON(string: text)
                buffer.writeString("}")
            }
            let read = try json.withUnsafeReadableBytes { bytes in
                let object = try JSONObject(bytes, keys: ["n"])
                return object[0].flatMap(object.string)
            }
            #expect(read == text)
        }
        #expect(String(buffer: encoded { $0.writeJSON(string: "a\"\u{1f}\u{b}\n") }) == #""a\"\u001f\u000b\n""#)
    }

    @Test("Keys are recognised with escapes in them, and doubled ones are noticed")
    func keys() throws {
        let text = #"{"\u006e":1,"x":2,"nn":4,"\ud83d\ude00":5}"#
        try Array(text.utf8).withUnsafeBytes { bytes in
            let object = try JSONObject(bytes, keys: ["n", "x", "missing", "😀"])
            #expect(object[0].flatMap(object.unsigned) == 1)
            #expect(object[1].flatMap(object.unsigned) == 2)
            #expect(object[2] == nil)
            #expect(object[3].flatMap(object.unsigned) == 5)
            #expect(object.duplicate == nil)
        }
        Array(#"{"x":2,"n":1,"\u006e":1}"#.utf8).withUnsafeBytes { bytes in
            let object = try? JSONObject(bytes, keys: ["x", "n"])
            #expect(object?.duplicate == 1)
        }
    }

    @Test(
        "Seconds are written and read exactly",
        arguments: [
            (0, "0.000000"), (1, "0.000001"), (-1, "-0.000001"), (999_999, "0.999999"), (1_000_000, "1.000000"),
            (1_700_000_000_123_456, "1700000000.123456"), (-1_500_000, "-1.500000"),
            (Int64.max, "9223372036854.775807"), (Int64.min + 1, "-9223372036854.775807"),
        ])
    func seconds(microseconds: Int64, text: String) {
        #expect(String(buffer: encoded { $0.writeJSON(secondsOf: microseconds) }) == text)
        #expect(readSeconds(text) == microseconds)
    }

    @Test("Seconds in other forms, and what does not fit")
    func otherSeconds() {
        #expect(readSeconds("5") == 5_000_000)
        #expect(readSeconds("5.1") == 5_100_000)
        #expect(readSeconds("5.12345678") == 5_123_456)
        #expect(readSeconds("1.7e9") == 1_700_000_000_000_000)
        #expect(readSeconds("1e400") == nil)
        #expect(readSeconds("99999999999999") == nil)
        #expect(readSeconds("\"5\"") == nil)
    }

    private func readSeconds(_ text: String) -> Int64? {
        Array("{\"t\":\(text)}".utf8).withUnsafeBytes { bytes in
            guard let object = try? JSONObject(bytes, keys: ["t"]) else { return nil }
            return object[0].flatMap(object.microseconds)
        }
    }

    @Test("Whole numbers up to the greatest of 64 bits")
    func numbers() {
        func read(_ text: String) -> UInt64? {
            Array("{\"n\":\(text)}".utf8).withUnsafeBytes { bytes in
                guard let object = try? JSONObject(bytes, keys: ["n"]) else { return nil }
                return object[0].flatMap(object.unsigned)
            }
        }
        for number in [0, 9, 10, 99, 100, 65_535, UInt64(1) << 53, .max - 1, .max] {
            let text = String(buffer: encoded { $0.writeJSON(number: number) })
            #expect(text == String(number))
            #expect(read(text) == number)
        }
        for text in ["18446744073709551616", "99999999999999999999999", "-1", "1.0", "1e3", "\"1\"", "true", "null"] {
            #expect(read(text) == nil, "\(text)")
        }
    }
}
