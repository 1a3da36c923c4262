import RoostConsensus
import RoostModel
import RoostProtocol

/// The state tables as a database would hold them: the last row of each key.
struct StateTables {
    private var accounts: [UserID: AccountRecord] = [:]
    private var devices: [String: DeviceRecord] = [:]
    private var conversations: [ConversationID: ConversationRow] = [:]
    private var members: [String: (conversation: ConversationID, member: MemberRow)] = [:]
    private var cursors: [String: CursorAdvance] = [:]
    private var sendOrders: [String: SendOrderRow] = [:]
    private var calls: [String: CallRow] = [:]
    private var signingKeys: [String: SigningKey] = [:]
    private var ring: Ring?

    init(_ changes: [StateChange]) {
        for change in changes {
            switch change {
            case .account(let row): accounts[row.user] = row
            case .device(let row): devices["\(row.user) \(row.device)"] = row
            case .deviceForgotten(let user, let device): devices["\(user) \(device)"] = nil
            case .cursorDropped(let user, let device, let id): cursors["\(id) \(user) \(device)"] = nil
            case .conversation(let row): conversations[row.id] = row
            case .member(let conversation, let row): members["\(conversation) \(row.user)"] = (conversation, row)
            case .message, .stripped, .sendStripped, .idsForgotten: break
            case .cursor(let row): cursors["\(row.conversation) \(row.user) \(row.device)"] = row
            case .sendOrder(let row): sendOrders["\(row.session) \(row.conversation)"] = row
            case .sendOrderExpired(let session, let conversation): sendOrders["\(session) \(conversation)"] = nil
            case .signingKey(let key): signingKeys[key.id] = key
            case .signingKeyRemoved(let id): signingKeys[id] = nil
            case .call(let row): calls["\(row.caller) \(row.id)"] = row
            case .callForgotten(let caller, let id): calls["\(caller) \(id)"] = nil
            case .ring(let newer): ring = newer
            }
        }
    }

    /// In no order: restoring must not depend on one.
    func snapshot(appliedIndex: UInt64, lastStamp: Int64) -> StateSnapshot {
        StateSnapshot(
            appliedIndex: appliedIndex, accounts: Array(accounts.values), devices: Array(devices.values),
            conversations: Array(conversations.values), members: Array(members.values),
            cursors: Array(cursors.values), sendOrders: Array(sendOrders.values),
            calls: Array(calls.values), signingKeys: Array(signingKeys.values), ring: ring, lastStamp: lastStamp)
    }
}
