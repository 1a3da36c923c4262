internal import NIOCore
internal import RoostModel

private enum RepairTag: UInt8 {
    case ask = 1
    case rows = 2
    case unfit = 3
    case regressed = 4
}

extension RepairRow: WireValue {
    static var minimumSize: Int { 8 }

    func encode(into buffer: inout ByteBuffer) {
        entry.encode(into: &buffer)
        buffer.writeInteger(checksum)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(entry: try RaftEntry(reading: &buffer), checksum: try buffer.readFixed())
    }
}

extension RepairMessage: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .ask(let partition, let indices):
            buffer.writeByte(RepairTag.ask.rawValue)
            partition.encode(into: &buffer)
            buffer.writeVarint(UInt64(indices.count))
            for index in indices { buffer.writeVarint(index) }
        case .rows(let partition, let rows):
            buffer.writeByte(RepairTag.rows.rawValue)
            partition.encode(into: &buffer)
            buffer.writeArray(rows)
        case .unfit(let isFull, let partitions):
            buffer.writeByte(RepairTag.unfit.rawValue)
            buffer.writeFlag(isFull)
            buffer.writeArray(partitions)
        case .regressed(let partition, let term, let store, let confirmed):
            buffer.writeByte(RepairTag.regressed.rawValue)
            partition.encode(into: &buffer)
            buffer.writeVarint(term)
            buffer.writeInteger(store.value)
            buffer.writeVarint(confirmed)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("repair message", as: RepairTag.self) {
        case .ask:
            let partition = try PartitionID(reading: &buffer)
            var indices: [UInt64] = []
            for _ in 0..<(try buffer.readCount(minimumSize: 1)) { indices.append(try buffer.readVarint()) }
            self = .ask(partition: partition, indices: indices)
        case .rows: self = .rows(partition: try PartitionID(reading: &buffer), rows: try buffer.readArray())
        case .unfit: self = .unfit(isFull: try buffer.readFlag("full"), partitions: try buffer.readArray())
        case .regressed:
            self = .regressed(
                partition: try PartitionID(reading: &buffer), term: try buffer.readVarint(),
                store: StoreID(try buffer.readFixed()), confirmed: try buffer.readVarint())
        }
    }
}
