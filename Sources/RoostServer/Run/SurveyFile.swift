internal import Foundation
internal import NIOCore
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// A survey as a file, to be carried to the other survivors' machines. JSON, so that an operator can look into it.
struct SurveyFile: Codable {
    private struct Replica: Codable {
        var partition: UInt16
        var term: UInt64
        var lastIndex: UInt64
        var appliedIndex: UInt64
        var wholeIndex: UInt64
        var wholeTerm: UInt64
        var configuration: Data
    }

    private static let format = 2
    private var format = Self.format
    private var node: String
    private var store: UInt64
    private var nonce: UInt64
    /// For who looks into it.
    private var cluster: String
    private var record: Data
    private var ring: Data?
    private var replicas: [Replica]

    init(_ survey: SurvivorSurvey) {
        node = survey.node.name
        store = survey.store.value
        nonce = survey.nonce
        cluster = "\(survey.record.cluster) (\(survey.record.clusterID))"
        record = Self.data { survey.record.encode(into: &$0) }
        ring = survey.ring.map { ring in Self.data { ring.encode(into: &$0) } }
        replicas = survey.replicas.map { replica in
            Replica(
                partition: replica.partition.value, term: replica.term, lastIndex: replica.lastIndex,
                appliedIndex: replica.appliedIndex,
                wholeIndex: replica.wholeIndex, wholeTerm: replica.wholeTerm,
                configuration: Self.data { replica.configuration.encode(into: &$0) })
        }
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    static func read(_ path: String) throws(NodeRunError) -> SurvivorSurvey {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw NodeRunError(message: "--with \(path): it can't be read", exitCode: NodeRunError.noInput)
        }
        guard let survey = try? Self.decoder.decode(SurveyFile.self, from: data).survey else {
            throw NodeRunError(
                message: "--with \(path): it is no survey of this version", exitCode: NodeRunError.damaged)
        }
        return survey
    }

    func write(_ path: String) throws(NodeRunError) {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch {
            throw NodeRunError(
                message: "\(path) can't be written: \(error.localizedDescription)", exitCode: NodeRunError.cannotCreate)
        }
    }

    private var survey: SurvivorSurvey? {
        var bytes = ByteBuffer(bytes: record)
        guard format == Self.format, let record = try? FoundingRecord(decoding: &bytes) else { return nil }
        var known: Ring?
        if let ring {
            var bytes = ByteBuffer(bytes: ring)
            guard let decoded = try? Ring(decoding: &bytes) else { return nil }
            known = decoded
        }
        var list: [SurvivorSurvey.Replica] = []
        for replica in replicas {
            var bytes = ByteBuffer(bytes: replica.configuration)
            guard let configuration = RaftConfiguration(decoding: &bytes) else { return nil }
            list.append(
                .init(
                    partition: PartitionID(replica.partition), term: replica.term, lastIndex: replica.lastIndex,
                    appliedIndex: replica.appliedIndex,
                    wholeIndex: replica.wholeIndex, wholeTerm: replica.wholeTerm, configuration: configuration))
        }
        return SurvivorSurvey(
            node: NodeID(node), store: StoreID(store), record: record, nonce: nonce, ring: known, replicas: list)
    }

    private static func data(_ encode: (inout ByteBuffer) -> Void) -> Data {
        var buffer = ByteBuffer()
        encode(&buffer)
        return Data(buffer.readableBytesView)
    }
}
