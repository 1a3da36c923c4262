import NIOCore
package import RoostModel

/// A partition whose replica was removed from its group: what is here of it goes, and only a later replica, under
/// another identity, may take part in the group again.
package struct GivenBack: Sendable, Equatable {
    package var partition: PartitionID
    /// The lowest number (see `StoreID.replica`) of a replica that may come.
    package var number: UInt64
    /// Until its rows are gone.
    package var isBeingDeleted: Bool
    package init(partition: PartitionID, number: UInt64, isBeingDeleted: Bool) {
        self.partition = partition
        self.number = number
        self.isBeingDeleted = isBeingDeleted
    }

    private static let size = 5

    /// Of each its partition, number (2 bytes each) and whether it is being deleted (1 byte).
    static func encode(_ list: [GivenBack]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for item in list {
            buffer.writeInteger(item.partition.value)
            buffer.writeInteger(UInt16(truncatingIfNeeded: item.number))
            buffer.writeInteger(item.isBeingDeleted ? 1 : 0, as: UInt8.self)
        }
        return buffer
    }

    static func decode(_ buffer: inout ByteBuffer) -> [GivenBack]? {
        guard buffer.readableBytes % size == 0 else { return nil }
        var list: [GivenBack] = []
        while let (partition, number, flag) = buffer.readMultipleIntegers(as: (UInt16, UInt16, UInt8).self) {
            list.append(
                GivenBack(partition: PartitionID(partition), number: UInt64(number), isBeingDeleted: flag != 0))
        }
        return list
    }
}
