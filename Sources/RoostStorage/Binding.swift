import Foundation
import GRDB
import NIOCore
import RoostModel

/// A cached statement whose arguments are bound one by one: no array of values is made for a row.
struct BoundStatement {
    private let statement: Statement
    private var index: CInt = 0
    /// Of what was bound since `reset(_:)`.
    private var checksum: RowChecksum?

    init(_ db: Database, _ sql: String) throws { statement = try db.cachedStatement(sql: sql) }

    /// Starts a new row. All arguments must be bound, in their order, before `run`.
    @inline(__always)
    mutating func reset() {
        statement.setUncheckedArguments(StatementArguments())
        index = 0
        checksum = nil
    }

    /// Starts a row of a table with checksums: its columns in their order, then `bindChecksum`.
    mutating func reset(_ table: CheckedTable) {
        reset()
        checksum = RowChecksum(table)
    }

    mutating func bindChecksum() throws {
        guard let value = checksum?.value else { throw StoreError.failed("a row without a checksum") }
        checksum = nil
        try bindValue(value)
    }

    @inline(__always)
    mutating func bind(_ value: Int64) throws {
        checksum?.add(value)
        try bindValue(value)
    }

    @inline(__always)
    mutating func bind(bits value: UInt64) throws { try bind(Int64(bitPattern: value)) }

    mutating func bind(optional value: Int64?) throws {
        if let value { try bind(value) } else { bindNull() }
    }

    mutating func bindNull() {
        checksum?.addNull()
        index += 1
    }

    /// The 16 bytes in network order.
    mutating func bind(_ uuid: UUID128) throws {
        let bytes = (uuid.high.bigEndian, uuid.low.bigEndian)
        try withUnsafeBytes(of: bytes) { try bind($0) }
    }

    mutating func bind(_ text: String?) throws {
        guard let text else { return bindNull() }
        checksum?.add(text: text)
        try bindValue(text)
    }

    /// NULL where it is empty.
    mutating func bind(_ buffer: ByteBuffer?) throws {
        guard let buffer, buffer.readableBytes > 0 else { return bindNull() }
        try buffer.withUnsafeReadableBytes { try bind($0) }
    }

    /// SQLite takes a copy.
    private mutating func bind(_ bytes: UnsafeRawBufferPointer) throws {
        guard let base = bytes.baseAddress else { return bindNull() }
        checksum?.add(blob: bytes)
        let data = Data(
            bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: bytes.count, deallocator: .none)
        try bindValue(data)
    }

    @inline(__always)
    private mutating func bindValue(_ value: some StatementBinding) throws {
        index += 1
        let code = value.bind(to: statement.sqliteStatement, at: index)
        guard code == ResultCode.SQLITE_OK.rawValue else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
    }

    func run() throws { try statement.execute() }

    /// The rows, valid one at a time. Runs the statement.
    func rows() throws -> RowCursor { try Row.fetchCursor(statement) }

    func firstInteger() throws -> Int64? { try Int64.fetchOne(statement) }
}

extension Row {
    /// Throws `.corrupt` where the column holds no integer, as only damage makes it.
    func integer(_ index: Int) throws(StoreError) -> Int64 {
        let value: DatabaseValue = self[index]
        guard case .int64(let integer) = value.storage else { throw .corrupt("a column is not an integer") }
        return integer
    }

    func bits(_ index: Int) throws(StoreError) -> UInt64 { UInt64(bitPattern: try integer(index)) }

    func text(_ index: Int) throws(StoreError) -> String {
        let value: DatabaseValue = self[index]
        guard case .string(let text) = value.storage else { throw .corrupt("a column is not a text") }
        return text
    }

    func optionalText(_ index: Int) throws(StoreError) -> String? {
        hasNull(atIndex: index) ? nil : try text(index)
    }

    func uuid(_ index: Int) throws(StoreError) -> UUID128 {
        var buffer = try self.buffer(index)
        guard buffer.readableBytes == 16, let high = buffer.readInteger(as: UInt64.self),
            let low = buffer.readInteger(as: UInt64.self)
        else { throw .corrupt("a column is not a UUID") }
        return UUID128(high: high, low: low)
    }

    /// Empty where the column is NULL.
    func buffer(_ index: Int) throws(StoreError) -> ByteBuffer {
        do {
            return try withUnsafeData(atIndex: index) { data in data.map { ByteBuffer(bytes: $0) } ?? ByteBuffer() }
        } catch {
            throw .corrupt("a column is not a blob")
        }
    }

    func isNull(_ index: Int) -> Bool { hasNull(atIndex: index) }
}
