-- The text of a word.
local function plain_text(word)
  return (string.gsub(word, '%%(%x?%x?)', function(code)
    return code == '' and '' or string.char(tonumber(code, 16))
  end))
end
