"""docs/guide.md: recurrent layers, cells and attention, by PyTorch. scripts/guide.sh runs it."""

# [start]
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
# [end]
from expected import Expected

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)

# [lstm]
lstm = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
save_file(lstm.state_dict(), "lstm.safetensors")

x = torch.arange(45.0).sin().reshape(5, 3, 3)       # [T,N,I]
packed = pack_padded_sequence(x, [5, 2, 3], enforce_sorted=False)
packed_y, (h_n, c_n) = lstm(packed)
y, _ = pad_packed_sequence(packed_y)                # [T,N,2H]; states [2L,N,H]
# [end]

# [gru]
gru = torch.nn.GRU(3, 4, batch_first=True)
save_file(gru.state_dict(), "gru.safetensors")

y_gru, h_gru = gru(x.transpose(0, 1), torch.ones(1, 3, 4))
# [end]

# [projection]
narrow = torch.nn.LSTM(3, 4, proj_size=2)
save_file(narrow.state_dict(), "projection.safetensors")

y_narrow, (h_narrow, c_narrow) = narrow(x)          # y [T,N,2], h [1,N,2], c [1,N,4]
# [end]

# [cell]
cell = torch.nn.LSTMCell(3, 4)
save_file(cell.state_dict(), "cell.safetensors")

h, c = torch.zeros(3, 4), torch.zeros(3, 4)
for t in range(5):
    h, c = cell(x[t], (h, c))
# [end]

# [attention]
attend = torch.nn.MultiheadAttention(8, 2)
save_file(attend.state_dict(), "attention.safetensors")

q = torch.arange(96.0).cos().reshape(4, 3, 8)       # [L,N,E]
k = torch.arange(120.0).sin().reshape(5, 3, 8)      # [S,N,E]
padding = torch.arange(5) >= torch.tensor([[5], [2], [3]])
context, weights = attend(q, k, k, key_padding_mask=padding)
# [end]

# [causal]
later = torch.ones(5, 5, dtype=torch.bool).triu(1)
past, _ = attend(k, k, k, attn_mask=later, need_weights=False)
# [end]

expected = Expected("recurrent")
for name in ("y", "h_n", "c_n", "y_gru", "h_gru", "y_narrow", "h_narrow", "c_narrow", "h", "c",
             "context", "weights", "past"):
    expected.same(name, globals()[name].detach())
expected.done()
