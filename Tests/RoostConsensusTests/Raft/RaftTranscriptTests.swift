import Foundation
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Golden transcripts: commands (lines that begin with "> ") and what the groups do about them. A change of behaviour
/// shows as a difference in `Transcripts`: rewrite them with ROOST_REWRITE_TRANSCRIPTS=1 and read it.
@Suite struct RaftTranscriptTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Transcripts")

    @Test func transcriptsHold() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
            .filter { $0.hasSuffix(".txt") }.sorted()
        #expect(names.count >= 6)
        let isRewriting = ProcessInfo.processInfo.environment["ROOST_REWRITE_TRANSCRIPTS"] == "1"
        for name in names {
            let file = Self.folder.appendingPathComponent(name)
            let expected = try String(contentsOf: file, encoding: .utf8)
            var transcript = RaftTranscript()
            let actual = transcript.play(expected)
            if isRewriting {
                try actual.write(to: file, atomically: true, encoding: .utf8)
            } else if actual != expected {
                let difference = zip(
                    actual.split(separator: "\n", omittingEmptySubsequences: false),
                    expected.split(separator: "\n", omittingEmptySubsequences: false)
                ).enumerated().first { $0.element.0 != $0.element.1 }
                Issue.record("\(name), line \((difference?.offset ?? 0) + 1): now \(difference?.element.0 ?? "longer")")
            }
        }
    }
}

/// Plays the commands of one transcript in a lab.
struct RaftTranscript {
    private var lab = RaftLab(voters: 1)

    /// The same text with the output that the commands have now. Comments and blank lines are kept.
    mutating func play(_ text: String) -> String {
        var lines: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("> ") {
                lines.append(String(line))
                lines += run(line.dropFirst(2).split(separator: " ").map(String.init))
            } else if line.hasPrefix("#") || line.isEmpty {
                lines.append(String(line))
            }
        }
        return lines.joined(separator: "\n")
    }

    private mutating func run(_ words: [String]) -> [String] {
        let numbers = words.dropFirst().map { Int($0) ?? 0 }
        let first = numbers.first ?? 0
        let second = numbers.dropFirst().first ?? 0
        var output: [String] = []
        switch words.first {
        case "nodes":
            lab = RaftLab(voters: first, learners: second, blank: numbers.dropFirst(2).first ?? 0)
        case "tick": lab.tick(first)
        case "sync": lab.sync(first)
        case "load": lab.nodes[first]?.answerLoads(now: lab.now)
        case "deliver": numbers.isEmpty ? lab.deliver() : lab.deliver(from: first, to: second)
        case "drop": lab.drop(from: first, to: second)
        case "settle": lab.settle()
        case "run": lab.run(milliseconds: UInt64(first))
        case "quietly":
            _ = run(Array(words.dropFirst()))
            return []
        case "propose": output.append("-> \(propose(first, Array(words.dropFirst(2))))")
        case "read": lab.receive(first, .readIndex(id: UInt64(second)))
        case "transfer": lab.receive(first, .transferLeadership(to: RaftPeer(second)))
        case "add": output.append("-> \(lab.change(first, .addLearner(RaftPeer(second))))")
        case "promote": output.append("-> \(lab.change(first, .promote(RaftPeer(second))))")
        case "remove": output.append("-> \(lab.change(first, .remove(RaftPeer(second))))")
        case "unreachable": lab.receive(first, .peerUnreachable(NodeID("n\(second)")))
        case "reachable": lab.receive(first, .peerReachable(NodeID("n\(second)")))
        case "wake": lab.receive(first, .wake)
        case "isolate": lab.isolate(first)
        case "heal": lab.heal()
        case "crash": lab.crash(first)
        case "status": output += lab.numbers.map(status)
        default: output.append("unknown command")
        }
        output += collect()
        return output.map { "  " + $0 }
    }

    private mutating func propose(_ number: Int, _ texts: [String]) -> String {
        let indices = lab.nodes[number]?.propose(texts, now: lab.now) ?? nil
        lab.collect(number)
        return indices.map { "\($0)" } ?? "refused"
    }

    private mutating func collect() -> [String] {
        var output: [String] = []
        for number in lab.numbers {
            output += lab[number].actions.map { "n\(number) \(RaftTranscriptText.of($0))" }
            lab.nodes[number]?.actions = []
            lab.nodes[number]?.isRecording = true
        }
        output += lab.checkInvariants()
        return output
    }

    private func status(_ number: Int) -> String {
        let group = lab[number].group
        return "n\(number) \(group.role) term \(group.term) leader \(group.leader?.node.name ?? "-")"
            + " last \(group.lastIndex) synced \(group.persistedIndex) committed \(group.commitIndex)"
            + " applied \(group.appliedIndex)\(group.isHibernating ? " asleep" : "")"
    }
}
