{"index":0,"type":"invoke","process":0,"f":"txn","value":[[":r",1,null]]}
{"index":1,"type":"ok","process":0,"f":"txn","value":[[":r",1,{"#set":["a"]}]]}
